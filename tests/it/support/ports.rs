//! Ports of a test's own.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below the ports that Linux gives to outgoing connections, which could take one between two starts of a service.
const FIRST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// An address that nothing listens at, another one each time: a service that is started again has it again.
pub fn free_address() -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + process::id().wrapping_mul(97).wrapping_add(next) % COUNT;
        let port = u16::try_from(port).expect("a port");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
