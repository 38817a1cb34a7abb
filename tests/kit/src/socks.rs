//! A SOCKS5 proxy that knows host names that no resolver knows.

use crate::tcp_line::carry;
use fast_socks5::{ReplyError, server::Socks5ServerProtocol, util::target_addr::TargetAddr};
use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// A connection that a client has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The user name of the client.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The host, as the client has given it.
    pub host: String,
}

/// A running proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct SocksProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: AbortHandle,
}

impl Drop for SocksProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SocksProxy {
    /// Starts a proxy that connects to these hosts and to no others. It takes any user name and password, and insists on
    /// one.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub async fn start(hosts: BTreeMap<String, SocketAddr>) -> io::Result<SocksProxy> {
        Self::start_at(Ipv4Addr::LOCALHOST, hosts).await
    }

    /// As [`start`](SocksProxy::start). The hosts see `own` as the address of all clients, an address of the loopback
    /// device.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub async fn start_at(own: Ipv4Addr, hosts: BTreeMap<String, SocketAddr>) -> io::Result<SocksProxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (hosts, seen) = (Arc::new(hosts), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (hosts, seen) = (Arc::clone(&hosts), Arc::clone(&seen));
                clients.spawn(async move {
                    // A client that fails sees it.
                    let _ended = serve(client, own, &hosts, &seen).await;
                });
            }
        });
        Ok(SocksProxy {
            address,
            asked,
            task: task.abort_handle(),
        })
    }

    /// The proxy, as a wallet is told of it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("socks5://{}", self.address)
    }

    /// The connections that clients have asked for so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(
    client: TcpStream,
    own: Ipv4Addr,
    hosts: &BTreeMap<String, SocketAddr>,
    seen: &Mutex<Vec<Asked>>,
) -> Option<()> {
    let take = |user, password| Some((user, password));
    let (client, named) = Socks5ServerProtocol::accept_password_auth(client, take)
        .await
        .ok()?;
    let (user, password) = named?;
    let (client, _, target) = client.read_command().await.ok()?;
    let host = match target {
        TargetAddr::Domain(host, _) => host,
        TargetAddr::Ip(address) => address.to_string(),
    };
    let found = hosts.get(&host).copied();
    let asked = Asked { user, password, host };
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    let Some(address) = found else {
        return client.reply_error(&ReplyError::HostUnreachable).await.ok();
    };
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind((own, 0).into()).ok()?;
    let server = socket.connect(address).await.ok()?;
    let client = client.reply_success(address).await.ok()?;
    carry(client, server, None).await;
    Some(())
}
