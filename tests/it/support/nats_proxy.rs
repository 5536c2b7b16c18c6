//! A way to NATS on which acknowledgements are lost.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What goes before a message of the journal.
const PUBLISH: &[u8] = b"PUB instagram.deliveries ";

/// What becomes of what the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// It is lost; what clients say arrives.
    Deaf,
}

/// Passes all on to the server of `to`, unless it was told otherwise.
pub struct NatsProxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    cuts: Arc<Mutex<u32>>,
    task: JoinHandle<()>,
}

impl NatsProxy {
    /// In front of the server at this URL.
    pub async fn before(server: &str) -> Self {
        let to = server.strip_prefix("nats://").expect("a URL").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let way = watch::Sender::new(Way::Open);
        let cuts = Arc::default();
        let task = tokio::spawn(serve(listener, to, way.subscribe(), Arc::clone(&cuts)));
        Self {
            address,
            way,
            cuts,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Loses all that the server says from now on, acknowledgements among it.
    pub fn lose_answers(&self) {
        self.way.send_replace(Way::Deaf);
    }

    /// Passes all on again, on new connections.
    pub fn mend(&self) {
        self.way.send_replace(Way::Open);
    }

    /// Ends the connection after each of the next `times` publishes to the journal: when the server has
    /// acknowledged it, and before the client knows.
    pub fn cut_after_publishes(&self, times: u32) {
        *self.cuts.lock().unwrap_or_else(PoisonError::into_inner) = times;
    }

    pub fn cuts_left(&self) -> u32 {
        *self.cuts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NatsProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    to: String,
    way: watch::Receiver<Way>,
    cuts: Arc<Mutex<u32>>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (to, way, cuts) = (to.clone(), way.clone(), Arc::clone(&cuts));
        tokio::spawn(async move {
            // That a connection ends is what is tried here.
            drop(pass_on(client, &to, way, &cuts).await);
        });
    }
}

async fn pass_on(
    mut client: TcpStream,
    to: &str,
    mut way: watch::Receiver<Way>,
    cuts: &Mutex<u32>,
) -> io::Result<()> {
    let mut server = TcpStream::connect(to).await?;
    let (mut said, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut is_doomed = false;
    loop {
        let is_deaf = *way.borrow_and_update() == Way::Deaf;
        tokio::select! {
            read = client.read(&mut said) => {
                let bytes = &said[..some(read?)?];
                server.write_all(bytes).await?;
                is_doomed = is_doomed || is_publish(bytes) && take_one(cuts);
            }
            read = server.read(&mut answered) => {
                let bytes = &answered[..some(read?)?];
                if is_doomed {
                    return Ok(());
                }
                if !is_deaf {
                    client.write_all(bytes).await?;
                }
            }
            changed = way.changed() => {
                // What was lost would be missed in the middle of a line.
                if changed.is_err() || is_deaf {
                    return Ok(());
                }
            }
        }
    }
}

fn some(read: usize) -> io::Result<usize> {
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(read)
}

fn is_publish(bytes: &[u8]) -> bool {
    bytes.windows(PUBLISH.len()).any(|part| part == PUBLISH)
}

fn take_one(cuts: &Mutex<u32>) -> bool {
    let mut cuts = cuts.lock().unwrap_or_else(PoisonError::into_inner);
    let is_left = *cuts > 0;
    *cuts = cuts.saturating_sub(1);
    is_left
}
