//! A TCP relay that counts: what passes between the agent and one endpoint, byte for byte, inside of TCP.
//!
//! It sits outside of both, so that neither's own counters have to be believed, and it can hang up on idle connections as
//! a firewall or five minutes of silence would.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// What passed so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    /// Connections opened.
    pub connections: u64,
    /// Bytes from the agent.
    pub up: u64,
    /// Bytes to the agent.
    pub down: u64,
    /// Segments, estimated: what goes one way before something comes back is cut into full ones.
    pub segments: u64,
}

impl Passed {
    /// What passed since `earlier`.
    pub fn since(self, earlier: Passed) -> Passed {
        Passed {
            connections: self.connections - earlier.connections,
            up: self.up - earlier.up,
            down: self.down - earlier.down,
            segments: self.segments - earlier.segments,
        }
    }

    /// Bytes of both directions inside of TCP.
    pub fn bytes(self) -> u64 {
        self.up + self.down
    }

    /// The same on an IPv4 link, estimated: 52 bytes of headers a segment, one acknowledgement for each, and seven
    /// segments to open and close a connection.
    pub fn on_the_link(self) -> u64 {
        self.bytes() + 52 * (2 * self.segments + 7 * self.connections)
    }
}

#[derive(Default)]
struct Counters {
    connections: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
    segments: AtomicU64,
    /// The way of the last bytes, and how many went that way since it changed.
    burst: Mutex<(bool, u64)>,
    open: Mutex<Vec<TcpStream>>,
}

/// A relay to one endpoint.
#[derive(Clone)]
pub struct Relay {
    address: SocketAddr,
    counters: Arc<Counters>,
}

impl Relay {
    /// Listens on loopback and passes everything on to `target` (`host:port`).
    pub fn to(target: String) -> std::io::Result<Relay> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        std::thread::spawn(move || {
            for agent in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                shared.connections.fetch_add(1, SeqCst);
                let (Ok(agent_too), Ok(server_too)) = (agent.try_clone(), server.try_clone()) else {
                    continue;
                };
                if let (Ok(a), Ok(s)) = (agent.try_clone(), server.try_clone()) {
                    let mut open = shared.open.lock().unwrap_or_else(|e| e.into_inner());
                    open.extend([a, s]);
                }
                let (up, down) = (Arc::clone(&shared), Arc::clone(&shared));
                std::thread::spawn(move || pass(agent, server, &up, true));
                std::thread::spawn(move || pass(server_too, agent_too, &down, false));
            }
        });
        Ok(Relay { address, counters })
    }

    /// The port that the agent is to use.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What passed so far.
    pub fn passed(&self) -> Passed {
        let c = &self.counters;
        Passed {
            connections: c.connections.load(SeqCst),
            up: c.up.load(SeqCst),
            down: c.down.load(SeqCst),
            segments: c.segments.load(SeqCst),
        }
    }

    /// Hangs up on all connections.
    pub fn hang_up(&self) {
        for stream in self.counters.open.lock().unwrap_or_else(|e| e.into_inner()).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, counters: &Counters, up: bool) {
    let mut piece = [0; 4096];
    while let Ok(n) = from.read(&mut piece) {
        if n == 0 {
            break;
        }
        // Counted before it is passed on: whoever sees the answer sees its bytes counted.
        if up { &counters.up } else { &counters.down }.fetch_add(n as u64, SeqCst);
        let mut burst = counters.burst.lock().unwrap_or_else(|e| e.into_inner());
        let before = if burst.0 == up { burst.1 } else { 0 };
        *burst = (up, before + n as u64);
        let more = (before + n as u64).div_ceil(SEGMENT) - before.div_ceil(SEGMENT);
        drop(burst);
        counters.segments.fetch_add(more, SeqCst);
        if to.write_all(&piece[..n]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// What an Ethernet segment carries.
const SEGMENT: u64 = 1448;
