// Takes events from the queue, five at a time, and stores each in its type's table.
'use strict';

const { Worker } = require('bullmq');
const { QUEUE, date, pool: makePool, redis } = require('./common');

const pool = makePool();

const comment = (v, account) => pool.query(
  `insert into instagram_comments(id, text, timestamp, from_id, from_username, media_id, account_id, raw_data)
   values ($1, $2, now(), $3, $4, $5, $6, $7)
   on conflict (id) do update set text = excluded.text, updated_at = now()`,
  [v.id, v.text, v.from.id, v.from.username, v.media?.id, account, v],
);

// How an event of each type is stored: the value, the account's id, the time of the entry.
const store = {
  comment,
  live_comment: comment,
  mention: (v, account) => pool.query(
    `insert into instagram_mentions(id, media_id, comment_id, timestamp, mentioned_in, account_id, raw_data)
     values ($1, $2, $3, now(), $4, $5, $6) on conflict do nothing`,
    [v.comment_id || v.media_id, v.media_id, v.comment_id, v.comment_id ? 'comment' : 'post', account, v],
  ),
  message: (v, account) => pool.query(
    `insert into messages(id, account_id, sender_ig_id, recipient_ig_id, text, timestamp, raw_data)
     values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`,
    [v.message.mid, account, v.sender.id, v.recipient.id, v.message.text, date(v.timestamp), v],
  ),
  story_mention: (v, account) => pool.query(
    `insert into instagram_mentions(id, timestamp, mentioned_in, account_id, raw_data)
     values ($1, $2, $3, $4, $5) on conflict do nothing`,
    [v.message.mid, date(v.timestamp), 'story', account, v],
  ),
  message_reactions: (v, account) => pool.query(
    `insert into instagram_message_reactions(
       message_id, account_id, sender_ig_id, recipient_ig_id, action, reaction_type, emoji, timestamp, raw_data
     ) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     on conflict (message_id, sender_ig_id, timestamp) do update set action = excluded.action, updated_at = now()`,
    [v.reaction.mid, account, v.sender.id, v.recipient.id, v.reaction.action, v.reaction.reaction, v.reaction.emoji,
      date(v.timestamp), v],
  ),
  messaging_postbacks: (v, account) => pool.query(
    `insert into instagram_messaging_postbacks(
       message_id, account_id, sender_ig_id, recipient_ig_id, is_self, postback_title, postback_payload, timestamp,
       raw_data
     ) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     on conflict (message_id, sender_ig_id) do update set updated_at = now()`,
    [v.postback.mid, account, v.sender.id, v.recipient.id, !!v.is_self, v.postback.title, v.postback.payload,
      date(v.timestamp), v],
  ),
  messaging_seen: (v, account) => pool.query(
    `insert into instagram_messaging_seen(
       last_message_id, account_id, reader_ig_id, recipient_ig_id, timestamp, raw_data
     ) values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
    [v.read.mid, account, v.sender.id, v.recipient.id, date(v.timestamp), v],
  ),
  story_insights: (v, account, time) => pool.query(
    `insert into instagram_story_insights_aggregated(
       media_id, account_id, impressions, reach, taps_forward, taps_back, exits, replies, timestamp, raw_data
     ) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     on conflict (media_id, timestamp) do update set impressions = excluded.impressions, updated_at = now()`,
    [v.media_id, account, v.impressions, v.reach, v.taps_forward, v.taps_back, v.exits, v.replies, date(time), v],
  ),
};

async function work({ data: { type, eventId, accountId, v, time } }) {
  const seen = await pool.query('select processed from instagram_webhook_events where event_id = $1', [eventId]);
  if (seen.rows[0]?.processed) return;
  await store[type](v, accountId, time);
  await pool.query(
    'update instagram_webhook_events set processed = true, processed_at = now() where event_id = $1',
    [eventId],
  );
}

const worker = new Worker(QUEUE, work, { connection: redis, concurrency: 5 });
worker.on('failed', (_job, error) => console.error(error.message));
worker.waitUntilReady().then(() => console.log('ready'));
