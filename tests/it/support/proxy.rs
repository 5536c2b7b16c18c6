//! A way to a server that can be cut, or on which nothing gets through.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::JoinHandle,
};
use url::Url;

use super::postgres::TestDatabase;

/// Listens on TCP and passes all on to a server, unless it is cut.
pub struct Proxy {
    url: String,
    gate: watch::Sender<Gate>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Gate {
    way: Way,
    /// How often all connections were ended: those made before end, whatever came after.
    cuts: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    Cut,
    Stalled,
}

impl Proxy {
    /// In front of a `PostgreSQL`; cut until it is opened.
    pub async fn before(database: &TestDatabase) -> Self {
        Self::to(database.url()).await
    }

    /// In front of what listens at this URL; cut until it is opened.
    pub async fn to(url: &str) -> Self {
        Self::before_any_of(&[url.to_owned()]).await
    }

    /// In front of servers that do the same, each named by a URL: every connection goes to the next that can be
    /// connected to. Cut until it is opened.
    pub async fn before_any_of(servers: &[String]) -> Self {
        let servers: Vec<Url> = servers
            .iter()
            .map(|server| Url::parse(server).expect("a URL"))
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let gate = watch::Sender::new(Gate {
            way: Way::Cut,
            cuts: 0,
        });
        let url = through(&servers[0], address);
        let task = tokio::spawn(serve(listener, servers.into(), gate.subscribe()));
        Self { url, gate, task }
    }

    /// The first server's URL by way of this proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn open(&self) {
        self.gate.send_modify(|gate| gate.way = Way::Open);
    }

    /// Leaves every connection as it is, and lets nothing through.
    pub fn stall(&self) {
        self.gate.send_modify(|gate| gate.way = Way::Stalled);
    }

    /// Ends every connection, and takes no other.
    pub fn cut(&self) {
        self.gate.send_modify(|gate| {
            gate.way = Way::Cut;
            gate.cuts += 1;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn through(server: &Url, address: SocketAddr) -> String {
    let mut url = server.clone();
    url.set_query(None);
    url.set_host(Some("127.0.0.1")).expect("a host");
    url.set_port(Some(address.port())).expect("a port");
    url.into()
}

async fn serve(listener: TcpListener, servers: Arc<[Url]>, gate: watch::Receiver<Gate>) {
    let mut next = 0;
    while let Ok((client, _)) = listener.accept().await {
        if gate.borrow().way == Way::Open {
            tokio::spawn(pass_on(client, Arc::clone(&servers), next, gate.clone()));
            next += 1;
        }
    }
}

async fn pass_on(
    mut client: TcpStream,
    servers: Arc<[Url]>,
    first: usize,
    mut gate: watch::Receiver<Gate>,
) {
    let cuts = gate.borrow().cuts;
    let mut passed = Box::pin(async {
        for nth in 0..servers.len() {
            let server = &servers[(first + nth) % servers.len()];
            if let Ok(mut server) = connect(server).await {
                return copy_bidirectional(&mut client, &mut server).await.map(drop);
            }
        }
        Ok(())
    });
    loop {
        tokio::select! {
            result = &mut passed => return drop::<io::Result<_>>(result),
            // While this is waited for, nothing is passed on.
            _ = gate.wait_for(|gate| gate.cuts != cuts || gate.way != Way::Open) => {}
        }
        let goes_on = gate.wait_for(|gate| gate.cuts != cuts || gate.way != Way::Stalled);
        let goes_on = goes_on.await;
        if !goes_on.is_ok_and(|gate| gate.cuts == cuts && gate.way == Way::Open) {
            return;
        }
    }
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

async fn connect(server: &Url) -> io::Result<Box<dyn Connection>> {
    if let Some(socket) = socket(server) {
        return Ok(Box::new(UnixStream::connect(socket).await?));
    }
    let port = match server.scheme() {
        "nats" => 4222,
        _ => 5432,
    };
    let address = server.socket_addrs(|| Some(port))?;
    Ok(Box::new(TcpStream::connect(&*address).await?))
}

/// The server's Unix socket, if its URL names a directory.
fn socket(server: &Url) -> Option<String> {
    let (_, directory) = server.query_pairs().find(|(name, _)| name == "host")?;
    let port = server.port().unwrap_or(5432);
    Some(format!("{directory}/.s.PGSQL.{port}"))
}
