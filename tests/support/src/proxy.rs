//! A network between a client and a server that counts, delays, cuts and stalls.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::sleep,
};

use crate::{protocol::Framer, server::Server};

/// Listens on a port of 127.0.0.1 and forwards to a server, as an SSH tunnel does; ends with all its connections when it
/// is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: Arc<Line>,
    listener: AbortHandle,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What the client says.
    ToServer,
    /// What the server answers.
    ToClient,
}

/// After how much of one direction a fault happens. It is let through, and not a byte more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// That many whole messages of PostgreSQL's protocol.
    Messages(usize),
    /// That many bytes.
    Bytes(usize),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client finds its connection closed. The server gets what was let through, then the end; what it answers is
    /// lost.
    Cut,
    /// Both connections stay open, and nothing gets through in either direction any more.
    Stall,
}

/// What all connections of a proxy have in common.
#[derive(Debug, Default)]
struct Line {
    accepted: AtomicUsize,
    latency: Mutex<Duration>,
    counts: Mutex<[Count; 2]>,
    plan: Mutex<Option<(Direction, After, Fault)>>,
}

/// What went through in one direction, of all connections together.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    messages: usize,
    bytes: usize,
}

/// One connection: where the messages end in each direction.
struct Framers {
    client: Framer,
    server: Framer,
}

impl Proxy {
    /// In front of this server.
    ///
    /// # Panics
    ///
    /// If there is no port to listen on.
    pub async fn to(server: &Server) -> Self {
        Self::to_address(SocketAddr::new(server.address(), server.port())).await
    }

    /// In front of whatever listens there. If nothing does, clients are accepted and then closed, as a tunnel does.
    ///
    /// # Panics
    ///
    /// As [`to`](Self::to).
    pub async fn to_address(server: SocketAddr) -> Self {
        Self::listen((Ipv4Addr::LOCALHOST, 0).into(), server)
            .await
            .unwrap_or_else(|error| panic!("a proxy cannot listen: {error}"))
    }

    /// In front of this server, on another loopback address with the server's port.
    ///
    /// # Panics
    ///
    /// If no address has the port free.
    pub async fn with_the_port_of(server: &Server) -> Self {
        let to = SocketAddr::new(server.address(), server.port());
        for last in 2..=u8::MAX {
            let [.., own] = std::process::id().to_be_bytes();
            let address = IpAddr::from([127, 53, own, last]);
            if let Ok(proxy) = Self::listen(SocketAddr::new(address, server.port()), to).await {
                return proxy;
            }
        }
        panic!("no loopback address has port {} free", server.port())
    }

    async fn listen(at: SocketAddr, server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let line = Arc::new(Line::default());
        let listener = tokio::spawn(accept(listener, server, Arc::clone(&line))).abort_handle();
        Ok(Self { address, line, listener })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address.ip()
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.line.accepted.load(Ordering::SeqCst)
    }

    /// How many whole messages went through in this direction since it began, or since the last [`fail`](Self::fail).
    #[must_use]
    pub fn messages(&self, direction: Direction) -> usize {
        lock(&self.line.counts)[direction as usize].messages
    }

    /// How many bytes went through, likewise.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> usize {
        lock(&self.line.counts)[direction as usize].bytes
    }

    /// From now on each piece that arrives is held for so long, in both directions.
    pub fn delay(&self, latency: Duration) {
        *lock(&self.line.latency) = latency;
    }

    /// Counting from now, of all connections together, the one that exceeds this fails. Once: later connections work.
    pub fn fail(&self, direction: Direction, after: After, fault: Fault) {
        *lock(&self.line.counts) = Default::default();
        *lock(&self.line.plan) = Some((direction, after, fault));
    }

    /// Whether the fault that [`fail`](Self::fail) asked for has happened.
    #[must_use]
    pub fn failed(&self) -> bool {
        lock(&self.line.plan).is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Line {
    /// Counts what may pass of these bytes, and says how much that is and what happens then.
    fn pass(&self, direction: Direction, framers: &mut Framers, bytes: &[u8]) -> (usize, Option<Fault>) {
        let mut plan = lock(&self.plan);
        let count = &mut lock(&self.counts)[direction as usize];
        let mut passed = 0;
        loop {
            let left = match *plan {
                Some((way, After::Messages(limit), fault)) if way == direction => {
                    Some((if count.messages < limit { usize::MAX } else { 0 }, fault))
                }
                Some((way, After::Bytes(limit), fault)) if way == direction => {
                    Some((limit.saturating_sub(count.bytes), fault))
                }
                _ => None,
            };
            if let Some((0, fault)) = left {
                *plan = None;
                return (passed, Some(fault));
            }
            let mut piece = &bytes[passed..];
            if piece.is_empty() {
                return (passed, None);
            }
            piece = &piece[..piece.len().min(left.map_or(usize::MAX, |(left, _)| left))];
            let taken = framers.take(direction, piece);
            count.messages += usize::from(taken.is_some());
            let taken = taken.unwrap_or(piece.len());
            count.bytes += taken;
            passed += taken;
        }
    }
}

impl Framers {
    /// How many of these bytes end a message, if they do.
    fn take(&mut self, direction: Direction, bytes: &[u8]) -> Option<usize> {
        if direction == Direction::ToClient {
            return self.server.end_of_message(bytes).map(|(taken, _)| taken);
        }
        let (taken, encryption) = self.client.end_of_message(bytes)?;
        if encryption {
            self.server.expect_one_byte();
        }
        Some(taken)
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, line: Arc<Line>) {
    // Dropped with this task, and its connections with it.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        line.accepted.fetch_add(1, Ordering::SeqCst);
        let line = Arc::clone(&line);
        // Whatever ends a connection ends it for both sides; there is nobody to tell.
        connections.spawn(async move { drop(carry(client, server, line).await) });
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, line: Arc<Line>) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut framers = Framers { client: Framer::from_client(), server: Framer::from_server() };
    let (mut said, mut answered) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    loop {
        let (direction, bytes) = tokio::select! {
            read = client.read(&mut said) => (Direction::ToServer, &said[..read?]),
            read = server.read(&mut answered) => (Direction::ToClient, &answered[..read?]),
        };
        let latency = *lock(&line.latency);
        sleep(latency).await;
        let (passed, fault) = line.pass(direction, &mut framers, bytes);
        let to = if direction == Direction::ToServer { &mut server } else { &mut client };
        to.write_all(&bytes[..passed]).await?;
        match fault {
            None if bytes.is_empty() => break,
            None => {}
            Some(Fault::Cut) => break,
            Some(Fault::Stall) => std::future::pending().await,
        }
    }
    // To the client it is over. The server reads to the end what it was sent, and tells nobody.
    drop(client);
    server.shutdown().await?;
    tokio::io::copy(&mut server, &mut tokio::io::sink()).await?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
