//! Machines of their own: network namespaces on a bridge, between any two of which the network can be parted.
//!
//! A namespace here has no name: it lives as long as a process in it does, and that process ends with this one,
//! however this one ends. The bridge is in a namespace as well. So nothing is left behind, nothing of it is seen from
//! outside, and any number of testbeds fit beside each other.

use farthing_kit::market::Host;
use std::{
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// The bridge's name in its namespace.
const BRIDGE: &str = "bridge";

/// A namespace, and the process that keeps it.
#[derive(Debug)]
struct Namespace(Child);

impl Drop for Namespace {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

impl Namespace {
    fn new() -> Result<Namespace, String> {
        // It says that it is there, and then waits for the end of its standard input.
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo here && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            let _said = BufReader::new(out).read_line(&mut line);
        }
        let namespace = Namespace(child);
        if line.trim_end() == "here" {
            Ok(namespace)
        } else {
            Err("this user may not make a network namespace (it takes root)".into())
        }
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// Runs `ip` in it.
    fn ip(&self, args: &[&str]) -> Result<(), String> {
        let said = Command::new("nsenter")
            .args(["--target", &self.pid(), "--net", "ip"])
            .args(args)
            .output()
            .map_err(|error| format!("nsenter: {error}"))?;
        let why = String::from_utf8_lossy(&said.stderr);
        let done = said.status.success().then_some(());
        done.ok_or_else(|| format!("ip {}: {}", args.join(" "), why.trim_end()))
    }
}

/// Some machines on one network.
#[derive(Debug)]
pub struct Hosts<const N: usize> {
    bridge: Namespace,
    namespaces: [Namespace; N],
    programs: TempDir,
}

impl<const N: usize> Hosts<N> {
    /// `N` machines.
    ///
    /// # Errors
    /// What this machine, or its user, cannot do.
    pub fn new() -> Result<Hosts<N>, String> {
        let bridge = Namespace::new()?;
        bridge.ip(&["link", "add", BRIDGE, "type", "bridge"])?;
        bridge.ip(&["link", "set", BRIDGE, "up"])?;
        let namespaces: Vec<_> = (0..N).map(|_| Namespace::new()).collect::<Result<_, _>>()?;
        let hosts = Hosts {
            bridge,
            namespaces: namespaces.try_into().expect("as many as were asked for"),
            programs: tempfile::tempdir().map_err(|error| error.to_string())?,
        };
        for (number, namespace) in hosts.namespaces.iter().enumerate() {
            let (port, address) = (port(number), format!("{}/24", address(number)));
            let pid = namespace.pid();
            hosts.bridge.ip(&[
                "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &pid,
            ])?;
            hosts.bridge.ip(&["link", "set", &port, "master", BRIDGE, "up"])?;
            namespace.ip(&["address", "add", &address, "dev", "eth0"])?;
            namespace.ip(&["link", "set", "eth0", "up"])?;
            namespace.ip(&["link", "set", "lo", "up"])?;
        }
        // Whether this kernel knows how is known now, and not in the middle of a purchase.
        hosts.part(0, 1)?;
        hosts.join(0, 1)?;
        Ok(hosts)
    }

    /// The machine of this number, with `program` on it.
    pub fn host(&self, number: usize, program: &Path) -> Host {
        let script = self.programs.path().join(port(number));
        // Written by another process: what this one has open for writing, another of its threads could be passing on
        // to a child just now, and then it could not be run.
        let written = Command::new("sh")
            .arg("-c")
            .arg(r#"printf '#!/bin/sh\nexec nsenter --target %s --net "%s" "$@"\n' "$1" "$2" >"$0" && chmod +x "$0""#)
            .args([&script, Path::new(&self.namespaces[number].pid()), program])
            .status();
        assert!(
            written.is_ok_and(|status| status.success()),
            "the script is written"
        );
        Host {
            program: script,
            address: IpAddr::V4(address(number)),
        }
    }

    /// From now on these two do not hear each other, without being told; everyone else hears both.
    ///
    /// # Errors
    /// When the kernel does not know how.
    pub fn part(&self, one: usize, other: usize) -> Result<(), String> {
        self.isolate(one, "on")?;
        self.isolate(other, "on")
    }

    /// Joins the two again.
    ///
    /// # Errors
    /// As [`part`](Hosts::part).
    pub fn join(&self, one: usize, other: usize) -> Result<(), String> {
        self.isolate(one, "off")?;
        self.isolate(other, "off")
    }

    /// Ports of a bridge that are isolated do not reach each other.
    fn isolate(&self, number: usize, how: &str) -> Result<(), String> {
        let port = port(number);
        self.bridge
            .ip(&["link", "set", &port, "type", "bridge_slave", "isolated", how])
    }
}

fn port(number: usize) -> String {
    format!("host{number}")
}

fn address(number: usize) -> Ipv4Addr {
    let last = u8::try_from(number + 1).expect("a few machines");
    Ipv4Addr::new(10, 77, 0, last)
}
