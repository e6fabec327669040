//! A network of its own for each node: namespaces with three interfaces, each on a bridge: to the other nodes, to the store and
//! to clients. Taking an interface off its bridge loses what it sends and what is sent to it, silently.
//!
//! - Names and addresses are unique to the test; everything is removed when the last handle is dropped.
//! - Addresses are of 198.18.0.0/16, which is set aside for tests and routed nowhere.
//! - The store listens on loopback: a relay on the bridge of the store connects there.

use std::process::Command;
use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_infra::shutdown::Shutdown;
use alluvium_tests::places;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

const NODES: usize = 3;
/// Networks that one side may have.
const SUBNETS: usize = 80;
/// The host's address on a bridge.
const HOST: usize = 254;

/// What an interface of a node leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Peers,
    Store,
    Clients,
}

const SIDES: [Side; 3] = [Side::Peers, Side::Store, Side::Clients];

/// The networks of one test. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    layout: Arc<Layout>,
    endpoint: String,
}

#[derive(Debug)]
struct Layout {
    tag: String,
    subnet: usize,
    relay: Shutdown,
}

fn ip(arguments: &str) -> Result<(), String> {
    let done = Command::new("ip").args(arguments.split_whitespace()).output().map_err(|error| error.to_string())?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&done.stderr).trim()))
}

impl Network {
    /// Makes the networks; `None`: this machine does not let us, which was said.
    pub(crate) async fn make(runtime: &Runtime) -> Option<Network> {
        let endpoint = places::endpoint("partitions", "minio")?;
        let number = runtime.random_below(1 << 24);
        let layout =
            Layout { tag: format!("al{number:06x}"), subnet: number as usize % SUBNETS, relay: Shutdown::new() };
        if let Err(error) = layout.lay() {
            places::skip(&format!("partitions (network namespaces cannot be made here: {error})"));
            return None;
        }
        let listener = TcpListener::bind((layout.host(Side::Store, HOST), 0)).await.expect("the bridge has an address");
        let endpoint_here = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let store = endpoint.trim_start_matches("http://").to_owned();
        drop(runtime.spawn("relay", relay(listener, store, layout.relay.clone(), runtime.clone())));
        Some(Network { layout: Arc::new(layout), endpoint: endpoint_here })
    }

    /// Where nodes find the store.
    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    pub(crate) fn client_host(&self, index: usize) -> String {
        self.layout.host(Side::Clients, index + 1)
    }

    pub(crate) fn peer_host(&self, index: usize) -> String {
        self.layout.host(Side::Peers, index + 1)
    }

    /// What runs a program in the namespace of a node.
    pub(crate) fn wrapper(&self, index: usize) -> Vec<String> {
        ["ip", "netns", "exec", &self.layout.namespace(index)].map(str::to_owned).to_vec()
    }

    /// From now on nothing passes between a node and a side.
    pub(crate) fn cut(&self, index: usize, side: Side) {
        ip(&format!("link set {} nomaster", self.layout.plug(side, index))).expect("an interface leaves its bridge");
    }

    /// Ends [`Network::cut`].
    pub(crate) fn heal(&self, index: usize, side: Side) {
        let layout = &self.layout;
        ip(&format!("link set {} master {}", layout.plug(side, index), layout.bridge(side)))
            .expect("an interface comes back to its bridge");
    }
}

impl Layout {
    fn bridge(&self, side: Side) -> String {
        format!("{}{}", self.tag, letter(side))
    }

    fn plug(&self, side: Side, index: usize) -> String {
        format!("{}{}{index}", self.tag, letter(side))
    }

    fn namespace(&self, index: usize) -> String {
        format!("{}n{index}", self.tag)
    }

    fn host(&self, side: Side, number: usize) -> String {
        let third = match side {
            Side::Peers => self.subnet,
            Side::Store => SUBNETS + self.subnet,
            Side::Clients => 2 * SUBNETS + self.subnet,
        };
        format!("198.18.{third}.{number}")
    }

    fn lay(&self) -> Result<(), String> {
        for side in SIDES {
            let bridge = self.bridge(side);
            ip(&format!("link add {bridge} type bridge stp_state 0"))?;
            ip(&format!("link set {bridge} up"))?;
            if side != Side::Peers {
                ip(&format!("addr add {}/24 dev {bridge}", self.host(side, HOST)))?;
            }
        }
        for index in 0..NODES {
            let namespace = self.namespace(index);
            ip(&format!("netns add {namespace}"))?;
            ip(&format!("-n {namespace} link set lo up"))?;
            for side in SIDES {
                let (plug, bridge) = (self.plug(side, index), self.bridge(side));
                let socket = format!("to{}", letter(side));
                ip(&format!("link add {plug} type veth peer name {socket} netns {namespace}"))?;
                ip(&format!("link set {plug} master {bridge} up"))?;
                let host = self.host(side, index + 1);
                ip(&format!("-n {namespace} addr add {host}/24 dev {socket}"))?;
                ip(&format!("-n {namespace} link set {socket} up"))?;
            }
        }
        Ok(())
    }

    fn clear(&self) {
        for index in 0..NODES {
            let _absent = ip(&format!("netns del {}", self.namespace(index)));
            for side in SIDES {
                let _gone = ip(&format!("link del {}", self.plug(side, index)));
            }
        }
        for side in SIDES {
            let _absent = ip(&format!("link del {}", self.bridge(side)));
        }
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        self.relay.trigger();
        self.clear();
    }
}

const fn letter(side: Side) -> char {
    match side {
        Side::Peers => 'p',
        Side::Store => 's',
        Side::Clients => 'c',
    }
}

/// Carries connections to the store.
async fn relay(listener: TcpListener, store: String, end: Shutdown, runtime: Runtime) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = end.triggered() => return,
        };
        let Ok((mut from, _)) = accepted else { return };
        let (store, end) = (store.clone(), end.clone());
        drop(runtime.spawn("relayed connection", async move {
            if let Ok(mut to) = TcpStream::connect(&store).await {
                let _nodelay = (from.set_nodelay(true), to.set_nodelay(true));
                tokio::select! {
                    // However a connection ends, both sides see it end.
                    _ended = copy_bidirectional(&mut from, &mut to) => {}
                    () = end.triggered() => {}
                }
            }
        }));
    }
}
