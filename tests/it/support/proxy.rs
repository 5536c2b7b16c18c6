//! A way to a server that can be cut, or on which nothing gets through.

use std::{io, net::SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::JoinHandle,
};
use url::Url;

use super::postgres::TestDatabase;

/// Listens on TCP and passes all on to a server, unless it is cut.
pub struct Proxy {
    url: String,
    way: watch::Sender<Way>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq)]
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
        let server = Url::parse(url).expect("a URL");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let way = watch::Sender::new(Way::Cut);
        let task = tokio::spawn(serve(listener, server.clone(), way.subscribe()));
        Self {
            url: through(&server, address),
            way,
            task,
        }
    }

    /// The server's URL by way of this proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn open(&self) {
        self.way.send_replace(Way::Open);
    }

    /// Leaves every connection as it is, and lets nothing through.
    pub fn stall(&self) {
        self.way.send_replace(Way::Stalled);
    }

    /// Ends every connection, and takes no other.
    pub fn cut(&self) {
        self.way.send_replace(Way::Cut);
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

async fn serve(listener: TcpListener, server: Url, way: watch::Receiver<Way>) {
    while let Ok((client, _)) = listener.accept().await {
        if *way.borrow() == Way::Open {
            tokio::spawn(pass_on(client, server.clone(), way.clone()));
        }
    }
}

async fn pass_on(mut client: TcpStream, server: Url, mut way: watch::Receiver<Way>) {
    let mut passed = Box::pin(async {
        if let Some(socket) = socket(&server) {
            let mut server = UnixStream::connect(socket).await?;
            copy_bidirectional(&mut client, &mut server).await
        } else {
            let address = server.socket_addrs(|| Some(5432))?;
            let mut server = TcpStream::connect(&*address).await?;
            copy_bidirectional(&mut client, &mut server).await
        }
    });
    loop {
        tokio::select! {
            result = &mut passed => return drop::<io::Result<_>>(result),
            // While this is waited for, nothing is passed on.
            _ = way.wait_for(|way| *way != Way::Open) => {}
        }
        let goes_on = way.wait_for(|way| *way != Way::Stalled).await;
        if !goes_on.is_ok_and(|way| *way == Way::Open) {
            return;
        }
    }
}

/// The server's Unix socket, if its URL names a directory.
fn socket(server: &Url) -> Option<String> {
    let (_, directory) = server.query_pairs().find(|(name, _)| name == "host")?;
    let port = server.port().unwrap_or(5432);
    Some(format!("{directory}/.s.PGSQL.{port}"))
}
