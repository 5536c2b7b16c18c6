//! Three nats-servers that are one.

use super::{
    nats::{ALWAYS, NatsServer, Streams},
    ports::free_address,
};

/// A cluster on this machine, each server of which syncs before it acknowledges. It goes with this value.
pub struct NatsCluster(Vec<NatsServer>);

impl NatsCluster {
    pub async fn start() -> Self {
        let routes: Vec<_> = (0..3).map(|_| free_address()).collect();
        let quoted = |route: &_| format!("\"nats://{route}\"");
        let all = routes.iter().map(quoted).collect::<Vec<_>>().join(", ");
        let server = |(number, route): (usize, &_)| {
            let others = format!(
                "server_name: server_{number}\ncluster {{ name: igstream_test, listen: \"{route}\", routes: [{all}] }}\n"
            );
            NatsServer::prepared(None, ALWAYS, &others)
        };
        let mut servers: Vec<_> = routes.iter().enumerate().map(server).collect();
        for server in &mut servers {
            server.spawn();
        }
        for server in &servers {
            server.until_it_answers().await;
        }
        Self(servers)
    }

    /// All URLs, with commas between them.
    pub fn urls(&self) -> String {
        let urls: Vec<_> = self.0.iter().map(NatsServer::url).collect();
        urls.join(",")
    }

    /// The server that leads the stream now.
    pub async fn leader_of(&mut self, stream: &str, streams: &Streams) -> &mut NatsServer {
        let number = super::eventually::eventually("the stream has a leader", async || {
            let stream = streams.js.get_stream(stream).await;
            let stream = stream.map_err(|error| error.to_string())?;
            let cluster = stream.cached_info().cluster.as_ref();
            let leader = cluster.and_then(|cluster| cluster.leader.as_deref());
            let number = leader.and_then(|name| name.strip_prefix("server_")?.parse().ok());
            number.ok_or_else(|| format!("{cluster:?}"))
        })
        .await;
        let number: usize = number;
        &mut self.0[number]
    }
}
