//! A way to the database that can be cut.

use std::{io, net::SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::JoinHandle,
};
use url::Url;

use super::postgres::TestDatabase;

/// Listens on TCP and passes all on to the database's server, unless it is cut.
pub struct Proxy {
    url: String,
    open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// In front of a `PostgreSQL`; cut until it is opened.
    pub async fn before(database: &TestDatabase) -> Self {
        let server = Url::parse(database.url()).expect("a URL");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let open = watch::Sender::new(false);
        let task = tokio::spawn(serve(listener, server.clone(), open.subscribe()));
        Self {
            url: through(&server, address),
            open,
            task,
        }
    }

    /// The database's URL by way of this proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Ends every connection, and takes no other.
    pub fn cut(&self) {
        self.open.send_replace(false);
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

async fn serve(listener: TcpListener, server: Url, open: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        if *open.borrow() {
            tokio::spawn(pass_on(client, server.clone(), open.clone()));
        }
    }
}

async fn pass_on(mut client: TcpStream, server: Url, mut open: watch::Receiver<bool>) {
    let passed = async {
        if let Some(socket) = socket(&server) {
            let mut server = UnixStream::connect(socket).await?;
            copy_bidirectional(&mut client, &mut server).await
        } else {
            let address = server.socket_addrs(|| Some(5432))?;
            let mut server = TcpStream::connect(&*address).await?;
            copy_bidirectional(&mut client, &mut server).await
        }
    };
    tokio::select! {
        result = passed => drop::<io::Result<_>>(result),
        _ = open.wait_for(|open| !open) => {}
    }
}

/// The server's Unix socket, if its URL names a directory.
fn socket(server: &Url) -> Option<String> {
    let (_, directory) = server.query_pairs().find(|(name, _)| name == "host")?;
    let port = server.port().unwrap_or(5432);
    Some(format!("{directory}/.s.PGSQL.{port}"))
}
