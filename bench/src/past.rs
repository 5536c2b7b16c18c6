//! A past for a database: copies of rows that igstream wrote, with keys of their own and earlier times, as many as
//! are asked for.

use anyhow::Result;

use crate::database::{Benched, TABLES};

/// Where the rows lie that are copied.
const SAMPLE: &str = "sample";
/// Of each person of the sample there are so many in the past.
const PEOPLE: usize = 50;

/// A past that grows.
#[derive(Debug)]
pub struct Past {
    /// Events of one copy.
    events: usize,
    /// How many copies there are, with the sample itself.
    copies: usize,
    /// What makes a copy of each table.
    inserts: Vec<String>,
}

impl Past {
    /// Begins with the `events` events that are in `database`.
    pub async fn of(database: &Benched, events: usize) -> Result<Self> {
        database.run(&format!("CREATE SCHEMA {SAMPLE}")).await?;
        let mut inserts = Vec::new();
        for table in TABLES {
            let copy = format!("CREATE TABLE {SAMPLE}.{table} AS SELECT * FROM public.{table}");
            database.run(&copy).await?;
            inserts.push(insert(database, table).await?);
        }
        Ok(Self {
            events,
            copies: 1,
            inserts,
        })
    }

    /// Adds copies until there are `events` events, and lets the database see what it has.
    pub async fn grow(&mut self, database: &Benched, events: usize) -> Result<()> {
        let copies = events / self.events;
        if copies > self.copies {
            eprintln!("making a past of {events} events");
            self.add(database, copies).await?;
        }
        for table in TABLES {
            database.run(&format!("VACUUM ANALYZE {table}")).await?;
        }
        database.run("CHECKPOINT").await
    }

    /// Without the indexes, which are made again at the end: that is many times as quick.
    async fn add(&mut self, database: &Benched, copies: usize) -> Result<()> {
        let mut indexes = Vec::new();
        for table in TABLES {
            indexes.extend(indexes_of(database, table).await?);
        }
        for (name, _) in &indexes {
            database.run(&format!("DROP INDEX {name}")).await?;
        }
        for (insert, table) in self.inserts.iter().zip(TABLES) {
            let (from, to) = if table == TABLES[0] {
                (self.copies.min(PEOPLE), copies.min(PEOPLE))
            } else {
                (self.copies, copies)
            };
            // Foreign keys are looked at by triggers. They are right: the sample's are.
            let statements = format!(
                "SET session_replication_role = replica; {}; SET session_replication_role = DEFAULT",
                insert
                    .replace("$from", &from.to_string())
                    .replace("$to", &(to - 1).to_string())
            );
            database.run(&statements).await?;
        }
        for (_, definition) in &indexes {
            database.run(definition).await?;
        }
        self.copies = copies;
        Ok(())
    }
}

/// Name and definition of each index that is no constraint's.
async fn indexes_of(database: &Benched, table: &str) -> Result<Vec<(String, String)>> {
    let of_table = format!(
        "FROM pg_indexes WHERE schemaname = 'public' AND tablename = '{table}' AND indexname NOT IN \
         (SELECT conname FROM pg_constraint) ORDER BY indexname"
    );
    let names = database
        .texts(&format!("SELECT indexname::text {of_table}"))
        .await?;
    let definitions = database
        .texts(&format!("SELECT indexdef {of_table}"))
        .await?;
    Ok(names.into_iter().zip(definitions).collect())
}

/// Copies number `$from` to `$to` of the sample's rows of `table`.
async fn insert(database: &Benched, table: &str) -> Result<String> {
    let of_table = format!(
        "FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{table}' \
         ORDER BY ordinal_position"
    );
    let names = database
        .texts(&format!("SELECT column_name::text {of_table}"))
        .await?;
    let types = database
        .texts(&format!("SELECT data_type::text {of_table}"))
        .await?;
    let values: Vec<String> = names
        .iter()
        .zip(types)
        .map(|(name, data_type)| value(table, name, &data_type))
        .collect();
    Ok(format!(
        "INSERT INTO public.{table} ({}) SELECT {} FROM generate_series($from, $to) AS copy, {SAMPLE}.{table}",
        names.join(", "),
        values.join(", ")
    ))
}

/// What a column has in a copy: what tells rows apart is the copy's own, as long and as scattered as it was.
fn value(table: &str, column: &str, data_type: &str) -> String {
    let person = format!("(copy % {PEOPLE})");
    match (table, column) {
        // As a time-ordered UUID is, some years ago.
        ("instagram_webhook_events", "id") => "(lpad(to_hex(1600000000000 + copy * 1000000 + \
             (stream_sequence - (SELECT min(stream_sequence) FROM sample.instagram_webhook_events))), 12, '0') \
             || '7' || substr(md5(id::text || copy), 1, 19))::uuid"
            .to_owned(),
        ("conversations", "id") => format!("md5(id::text || {person})::uuid"),
        (_, "id") if data_type == "uuid" => "md5(id::text || copy)::uuid".to_owned(),
        (_, "id" | "event_id" | "message_id" | "last_message_id" | "object_id")
        | ("instagram_story_insights_aggregated", "media_id") => format!("{column} || copy"),
        (_, "conversation_id") => {
            format!("CASE WHEN {person} = 0 THEN conversation_id ELSE md5(conversation_id::text || {person})::uuid END")
        }
        (
            _,
            "participant_ig_id" | "sender_ig_id" | "recipient_ig_id" | "from_id" | "reader_ig_id",
        ) => format!("CASE WHEN {person} = 0 THEN {column} ELSE {column} || {person} END"),
        (_, "delivery_id") => "gen_random_uuid()".to_owned(),
        (_, "stream_sequence") => "stream_sequence - copy * 1000000::bigint".to_owned(),
        (_, "created_at" | "timestamp" | "occurred_at" | "received_at") => {
            format!("{column} - copy * interval '1 minute'")
        }
        _ => column.to_owned(),
    }
}
