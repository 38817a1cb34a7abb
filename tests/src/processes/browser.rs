//! A real browser without a window, driven over a pipe. It shows a page at any width, and tells what went wrong in it.

use super::run::until;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};
use tempfile::TempDir;

/// The command of the browser: Debian's chromium.
pub const BROWSER: &str = "chromium";

/// The longest life of a browser (s). Then it ends, and so does the test that waits for it.
const LIFE_S: &str = "90";

/// The browser takes requests from file 3 and answers on file 4.
const START: &str = "exec timeout $0 $1 --headless --no-sandbox --disable-gpu --remote-debugging-pipe --user-data-dir=$2 \
                     3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// A running browser with one page.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    last_id: u64,
    session: Option<String>,
    /// What the browser has reported of the page: errors of its script, and requests that its policy has refused.
    pub complaints: Vec<String>,
    _dir: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The child is `timeout`, so only the browser itself can end the browser. `timeout` ends one that does not.
        let _gone = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let _ended = self.child.wait();
    }
}

impl Browser {
    /// Starts the browser. `None` if there is none on this machine.
    pub fn start() -> Option<Browser> {
        Command::new(BROWSER).arg("--version").output().ok()?;
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", START, LIFE_S, BROWSER])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut browser = Browser {
            to: child.stdin.take().unwrap(),
            from: BufReader::new(child.stdout.take().unwrap()),
            child,
            last_id: 0,
            session: None,
            complaints: Vec::new(),
            _dir: dir,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for reports in ["Runtime.enable", "Log.enable"] {
            browser.call(reports, json!({}));
        }
        Some(browser)
    }

    /// Makes one request of the DevTools protocol, and returns its result.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut request = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        let mut line = request.to_string().into_bytes();
        line.push(0);
        self.to.write_all(&line).unwrap();
        loop {
            let mut line = Vec::new();
            self.from.read_until(0, &mut line).unwrap();
            assert_eq!(line.pop(), Some(0), "the browser has ended");
            let mut told: Value = serde_json::from_slice(&line).unwrap();
            if told["id"] == self.last_id {
                assert!(told["error"].is_null(), "{method}: {told}");
                return told["result"].take();
            }
            if let Some("Runtime.exceptionThrown" | "Log.entryAdded") = told["method"].as_str() {
                self.complaints.push(told.to_string());
            }
        }
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        self.call("Runtime.evaluate", parameters)["result"]["value"].take()
    }

    /// Opens a page on a screen of this size, and waits until `expression` has a value that is not null.
    pub fn open(&mut self, url: &str, [width, height]: [u32; 2], expression: &str) -> Value {
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < height });
        self.call("Emulation.setDeviceMetricsOverride", screen);
        self.call("Page.navigate", json!({ "url": url }));
        let here = format!("location.href === {} ? {expression} : null", json!(url));
        until(&format!("{url} to be drawn"), || {
            Some(self.value(&here)).filter(|value| !value.is_null())
        })
    }

    /// The number of elements that reach beyond the right edge of the screen.
    pub fn too_wide(&mut self) -> Value {
        self.value(
            "[...document.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).length",
        )
    }
}
