//! One machine for each process: network namespaces on a bridge. The network can be parted between any two machines.
//!
//! A namespace has no name. It lives as long as a process in it does. That process ends with this one, even if this one
//! is killed. The bridge is in a namespace as well. So nothing is left over, nothing is visible outside, and any number
//! of testbeds can run at the same time.

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

/// A network namespace, and the process that keeps it alive.
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
        // It prints a line when the namespace exists, and then waits for the end of its standard input.
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
            Err("this user may not make a network namespace; it needs root".into())
        }
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// Runs `ip` in the namespace.
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

/// Machines on one network.
#[derive(Debug)]
pub struct Hosts<const N: usize> {
    bridge: Namespace,
    namespaces: [Namespace; N],
    programs: TempDir,
}

impl<const N: usize> Hosts<N> {
    /// Makes `N` machines.
    ///
    /// # Errors
    /// When this machine or its user cannot make namespaces.
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
        // Fails now, not in the middle of a purchase, if this kernel cannot isolate ports.
        hosts.part(0, 1)?;
        hosts.join(0, 1)?;
        Ok(hosts)
    }

    /// The machine of this number, which runs `program`.
    pub fn host(&self, number: usize, program: &Path) -> Host {
        let script = self.programs.path().join(port(number));
        // Another process writes the script. If this process had it open for writing, another thread could pass the open
        // file to a child at that moment. Then the script could not be run.
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

    /// Drops all packets between these two machines, without an error to either. All other machines reach both.
    ///
    /// # Errors
    /// When the kernel cannot isolate ports.
    pub fn part(&self, one: usize, other: usize) -> Result<(), String> {
        self.isolate(one, "on")?;
        self.isolate(other, "on")
    }

    /// Passes packets between the two machines again.
    ///
    /// # Errors
    /// As [`part`](Hosts::part).
    pub fn join(&self, one: usize, other: usize) -> Result<(), String> {
        self.isolate(one, "off")?;
        self.isolate(other, "off")
    }

    /// Isolates the port of a machine, or not. Two isolated ports of a bridge do not reach each other.
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
