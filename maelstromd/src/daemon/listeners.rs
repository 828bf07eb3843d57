//! The two listening sockets: taken over from systemd or from the run before (restart in place), else
//! bound anew. They are opened before anything else, so that a port in use is told at once, and kept open
//! until the very end where a successor takes them over: clients that connect meanwhile wait in the
//! kernel's queue instead of being refused.
//!
//! Taking over: systemd passes descriptors from 3 on (`LISTEN_PID`, `LISTEN_FDS`, `LISTEN_FDNAMES`,
//! sd_listen_fds(3)), the run before passes `name=descriptor` pairs in [`INHERIT`]. The numbers are turned
//! into descriptors of our own by duplicating them; the originals stay open for the run after.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    os::fd::{AsRawFd as _, RawFd},
    process::Command,
};

use rustix::{
    io::FdFlags,
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};

/// Clients that connected and were not accepted yet: enough for the seconds of a restart in place.
const BACKLOG: u32 = 4_096;
/// systemd's first descriptor.
const FIRST_FD: RawFd = 3;
/// Sockets handed from one run of the daemon to the next within the same process.
const INHERIT: &str = "MAELSTROMD_LISTENERS";

/// Which gateway a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Public,
    Private,
}

/// An open listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    side: Side,
    socket: TcpListener,
    /// Its number when it was inherited: that one is open for the run after.
    inherited: Option<RawFd>,
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("can't listen on {address} ({variable}): {source}{}", hint(.source))]
    Bind { address: SocketAddr, variable: &'static str, source: io::Error },
    #[error("the {name} socket that was passed on (descriptor {fd}) can't be used: {source}")]
    Inherit { name: &'static str, fd: RawFd, source: io::Error },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has it: stop that or choose another port",
        io::ErrorKind::PermissionDenied => "; ports under 1024 need root or CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}

/// Descriptors that were passed to this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inherited(BTreeMap<Side, RawFd>);

// === impl Side ===

impl Side {
    const ALL: [Side; 2] = [Side::Public, Side::Private];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }

    const fn variable(self) -> &'static str {
        match self {
            Self::Public => "MAEL_PUBLIC_PORT",
            Self::Private => "MAEL_PRIVATE_PORT",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|side| side.name() == name)
    }
}

// === impl Inherited ===

impl Inherited {
    /// Reads what the environment says was passed to the process `pid`.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>, pid: u32) -> Self {
        let mut found = BTreeMap::new();
        if variable("LISTEN_PID").and_then(|text| text.parse().ok()) == Some(pid) {
            let count: RawFd = variable("LISTEN_FDS").and_then(|text| text.parse().ok()).unwrap_or(0);
            let names = variable("LISTEN_FDNAMES").unwrap_or_default();
            let mut names = names.split(':');
            // Two sockets and a few that somebody added by mistake; the numbers come from outside.
            for (index, fd) in (FIRST_FD..).take(usize::try_from(count).unwrap_or(0).min(16)).enumerate() {
                let side = names.next().and_then(Side::named).or_else(|| Side::ALL.get(index).copied());
                if let Some(side) = side {
                    found.entry(side).or_insert(fd);
                }
            }
        }
        for pair in variable(INHERIT).unwrap_or_default().split(',') {
            if let Some((name, fd)) = pair.split_once('=')
                && let (Some(side), Ok(fd)) = (Side::named(name), fd.parse())
            {
                found.insert(side, fd);
            }
        }
        Self(found)
    }
}

// === impl Listener ===

impl Listener {
    /// The inherited socket, else a new one on `address:port`.
    pub(super) fn open(
        side: Side,
        address: IpAddr,
        port: u16,
        inherited: &Inherited,
    ) -> Result<Self, ListenError> {
        if let Some(&fd) = inherited.0.get(&side) {
            let socket =
                take_over(fd).map_err(|source| ListenError::Inherit { name: side.name(), fd, source })?;
            return Ok(Self { side, socket, inherited: Some(fd) });
        }
        let address = SocketAddr::new(address, port);
        let socket = bind(address).map_err(|source| ListenError::Bind {
            address,
            variable: side.variable(),
            source,
        })?;
        Ok(Self { side, socket, inherited: None })
    }

    /// Where it listens; with port 0 asked for, the port that the system chose.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// For accepting. The socket stays open in here as well.
    pub(super) fn accepting(&self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.socket.try_clone()?)
    }

    /// Leaves the socket open for the program that this process becomes next.
    fn keep_open(&self) -> io::Result<RawFd> {
        if let Some(fd) = self.inherited {
            return Ok(fd);
        }
        rustix::io::fcntl_setfd(&self.socket, FdFlags::empty())?;
        Ok(self.socket.as_raw_fd())
    }
}

/// Adds to `command` what its program needs to take the sockets over.
pub(super) fn pass_on(listeners: &[Listener], command: &mut Command) -> io::Result<()> {
    let mut pairs = Vec::new();
    for listener in listeners {
        pairs.push(format!("{}={}", listener.side.name(), listener.keep_open()?));
    }
    command.env(INHERIT, pairs.join(","));
    Ok(())
}

/// A descriptor of our own for the number `fd` of this process.
fn take_over(fd: RawFd) -> io::Result<TcpListener> {
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    let duplicate = pidfd_getfd(own, fd, PidfdGetfdFlags::empty())?;
    if !rustix::net::sockopt::socket_acceptconn(&duplicate)? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen"));
    }
    let socket = TcpListener::from(duplicate);
    socket.set_nonblocking(true)?;
    socket.local_addr()?;
    Ok(socket)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket =
        if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    // A port whose old connections still linger can be had at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpStream},
    };

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn read(pairs: &[(&str, &str)]) -> Inherited {
        let find = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Inherited::read(find, 42)
    }

    #[test]
    fn descriptors_are_found_by_name_or_order() {
        let both = |public, private| Inherited([(Side::Public, public), (Side::Private, private)].into());
        assert_eq!(read(&[("LISTEN_PID", "42"), ("LISTEN_FDS", "2")]), both(3, 4));
        let named = [("LISTEN_PID", "42"), ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "private:public")];
        assert_eq!(read(&named), both(4, 3));
        assert_eq!(read(&[("LISTEN_PID", "41"), ("LISTEN_FDS", "2")]), Inherited::default());
        assert_eq!(read(&[(INHERIT, "public=9,private=11")]), both(9, 11));
        assert_eq!(read(&[(INHERIT, "public=x,,=,other=4")]), Inherited::default());
    }

    #[tokio::test]
    async fn a_port_in_use_says_which_setting_and_what_to_do() {
        let first = Listener::open(Side::Public, LOCAL, 0, &Inherited::default()).unwrap();
        let port = first.address().unwrap().port();
        let error =
            Listener::open(Side::Private, LOCAL, port, &Inherited::default()).unwrap_err().to_string();
        assert!(error.contains("MAEL_PRIVATE_PORT") && error.contains("another program has it"), "{error}");
    }

    /// The defect this prevents: between two daemons clients are refused.
    #[tokio::test]
    async fn clients_that_connect_between_two_daemons_wait_for_the_second() {
        let first = Listener::open(Side::Public, LOCAL, 0, &Inherited::default()).unwrap();
        let address = first.address().unwrap();
        let fd = first.keep_open().unwrap();
        drop(first.accepting().unwrap());
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"hello").unwrap();
        let inherited = Inherited([(Side::Public, fd)].into());
        let second = Listener::open(Side::Public, LOCAL, 1, &inherited).unwrap();
        assert_eq!(second.address().unwrap(), address);
        drop(first);
        let (stream, _) = second.accepting().unwrap().accept().await.unwrap();
        let mut stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        let mut text = [0; 5];
        stream.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hello");
    }

    #[tokio::test]
    async fn what_is_passed_must_be_a_listening_socket() {
        let file = tempfile::tempfile().unwrap();
        let inherited = Inherited([(Side::Public, file.as_raw_fd()), (Side::Private, 9_999)].into());
        for side in Side::ALL {
            let error = Listener::open(side, LOCAL, 0, &inherited).unwrap_err();
            assert!(matches!(error, ListenError::Inherit { .. }), "{error}");
        }
    }
}
