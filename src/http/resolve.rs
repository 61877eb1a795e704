//! Names to addresses, within a time limit and with a bound on what a dead DNS server can pile up.
//!
//! The system's resolver cannot be interrupted, so each look-up runs on a thread of its own that outlives a time-out by
//! at most the resolver's own patience. Addresses that are written out need none.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Look-ups that may be under way at once: one per endpoint that is called, and as many that were given up.
const MOST_LOOKUPS: usize = 8;
/// Bytes of stack for a look-up: enough for glibc's nss modules.
const STACK: usize = 256 * 1024;
/// Addresses that ureq has room for.
const MOST_ADDRESSES: usize = 16;

/// Why a name was not resolved.
#[derive(Debug)]
pub(super) struct LookupError {
    pub(super) host: String,
    pub(super) detail: String,
}

impl std::fmt::Display for LookupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.host, self.detail)
    }
}

impl std::error::Error for LookupError {}

impl LookupError {
    fn ureq(host: &str, detail: impl Into<String>) -> ureq::Error {
        ureq::Error::Other(Box::new(LookupError { host: host.to_owned(), detail: detail.into() }))
    }
}

/// The system's resolver, bounded.
#[derive(Debug, Default)]
pub(super) struct BoundedResolver {
    under_way: Arc<AtomicUsize>,
}

impl Resolver for BoundedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let mut addresses = self.empty();
        if let Ok(address) = host.parse() {
            addresses.push(SocketAddr::new(address, port));
            return Ok(addresses);
        }
        for address in self.look_up(&host, port, timeout)?.into_iter().take(MOST_ADDRESSES) {
            addresses.push(address);
        }
        match addresses.is_empty() {
            true => Err(LookupError::ureq(&host, "the name has no address")),
            false => Ok(addresses),
        }
    }
}

impl BoundedResolver {
    fn look_up(&self, host: &str, port: u16, timeout: NextTimeout) -> Result<Vec<SocketAddr>, ureq::Error> {
        let permit = Permit::take(&self.under_way)
            .ok_or_else(|| LookupError::ureq(host, "earlier look-ups still wait for a DNS server"))?;
        let (answer, answered) = sync_channel(1);
        let name = host.to_owned();
        std::thread::Builder::new()
            .name("dns".into())
            .stack_size(STACK)
            .spawn(move || {
                let _permit = permit;
                let found = (name.as_str(), port).to_socket_addrs().map(|found| found.collect::<Vec<_>>());
                // Nobody listens after a time-out.
                let _ = answer.send(found);
            })
            .map_err(ureq::Error::Io)?;
        match answered.recv_timeout(*timeout.after) {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(e)) => Err(LookupError::ureq(host, e.to_string())),
            Err(RecvTimeoutError::Timeout) => Err(ureq::Error::Timeout(timeout.reason)),
            Err(RecvTimeoutError::Disconnected) => {
                Err(LookupError::ureq(host, "the look-up ended unexpectedly"))
            }
        }
    }
}

/// One look-up's place, given back when it ends.
struct Permit(Arc<AtomicUsize>);

impl Permit {
    fn take(count: &Arc<AtomicUsize>) -> Option<Permit> {
        count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < MOST_LOOKUPS).then_some(n + 1))
            .ok()
            .map(|_| Permit(Arc::clone(count)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups_that_hang_are_bounded_and_give_their_place_back() {
        let count = Arc::new(AtomicUsize::new(0));
        let mut held: Vec<Permit> = (0..MOST_LOOKUPS).map(|_| Permit::take(&count).unwrap()).collect();
        assert!(Permit::take(&count).is_none());
        held.pop();
        assert!(Permit::take(&count).is_some());
    }

    #[test]
    fn a_written_address_needs_no_look_up() {
        let resolver = BoundedResolver { under_way: Arc::new(AtomicUsize::new(MOST_LOOKUPS)) };
        let config = ureq::Agent::config_builder().build();
        for (uri, address) in
            [("https://[::1]:6443/", "[::1]:6443"), ("https://127.0.0.1/x", "127.0.0.1:443")]
        {
            let found = resolver.resolve(&uri.parse().unwrap(), &config, NextTimeout::default()).unwrap();
            assert_eq!(found.iter().collect::<Vec<_>>(), [&address.parse::<SocketAddr>().unwrap()]);
        }
    }
}
