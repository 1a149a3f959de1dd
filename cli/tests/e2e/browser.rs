//! Chromium without a window, driven over its debugging pipe (DevTools protocol): two FIFOs, messages that end in NUL.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::run::Run;
use crate::trial::{Stop, need};
use crate::{check, place, sys};

/// More than a page takes, on a slow machine too.
const LIMIT: Duration = Duration::from_secs(90);

/// A browser with one page.
pub struct Browser {
    child: Child,
    requests: File,
    answers: Receiver<Value>,
    next: u64,
    session: Option<String>,
    /// What happened meanwhile.
    events: Vec<Value>,
}

impl Browser {
    /// Starts one; the trial is skipped where there is none.
    pub fn start(trial: &str) -> Result<Browser, Stop> {
        let program = need("chromium")?;
        let directory = place::directory(trial)?.join("browser");
        std::fs::create_dir_all(&directory)?;
        let [requests, answers] = ["requests", "answers"].map(|name| directory.join(name));
        Run::new("mkfifo").arg(&requests).arg(&answers).end()?.well()?;
        let child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<\"$REQUESTS\" 4>\"$ANSWERS\""])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .args([
                "--remote-debugging-pipe",
                "--no-first-run",
                "--disable-extensions",
                "--disable-background-networking",
            ])
            .arg(format!("--user-data-dir={}", directory.join("profile").display()))
            .env("REQUESTS", &requests)
            .env("ANSWERS", &answers)
            .env_remove("LD_PRELOAD")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        // Each waits for the other end.
        let requests = OpenOptions::new().write(true).open(requests)?;
        let answers = messages(File::open(answers)?);
        let mut browser = Browser { child, requests, answers, next: 0, session: None, events: Vec::new() };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = browser.call("Target.attachToTarget", attach)?["sessionId"].as_str().map(ToString::to_string);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    /// Calls a method and waits for its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Result<Value, Stop> {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": parameters });
        if let (Some(session), Some(message)) = (&self.session, message.as_object_mut()) {
            message.insert("sessionId".to_string(), session.as_str().into());
        }
        self.requests.write_all(format!("{message}\0").as_bytes())?;
        let id = self.next;
        let answer = self.wait(|message| message["id"] == id)?;
        check!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        Ok(answer["result"].clone())
    }

    /// Waits for a message; others are kept.
    fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value, Stop> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = self.answers.recv_timeout(left).map_err(|error| format!("the browser: {error}"))?;
            if wanted(&message) {
                return Ok(message);
            }
            self.events.push(message);
        }
    }

    /// Opens a page of this colour scheme and width, and waits for it.
    pub fn open(&mut self, page: &Path, scheme: &str, width: u32) -> Result<(), Stop> {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", media)?;
        let metrics = json!({ "width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics)?;
        self.events.clear();
        self.call("Page.navigate", json!({ "url": format!("file://{}", page.display()) }))?;
        if !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            self.wait(|event| event["method"] == "Page.loadEventFired")?;
        }
        Ok(())
    }

    /// What an expression of the page's script comes to.
    pub fn value(&mut self, expression: &str) -> Result<Value, Stop> {
        let evaluate = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", evaluate)?;
        check!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        Ok(result["result"]["value"].clone())
    }

    /// Presses and lets go a key.
    pub fn press(&mut self, key: &str) -> Result<(), Stop> {
        let code = match key {
            "ArrowDown" => 40,
            "ArrowUp" => 38,
            "End" => 35,
            "Home" => 36,
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            _ => 0,
        };
        let mut down = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        if key.chars().count() == 1 {
            down["text"] = key.into();
        }
        self.call("Input.dispatchKeyEvent", down)?;
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }))?;
        Ok(())
    }

    /// Types a text.
    pub fn write(&mut self, text: &str) -> Result<(), Stop> {
        self.call("Input.insertText", json!({ "text": text })).map(drop)
    }

    /// Complaints, dialogues and requests for anything but files, since the page was opened.
    pub fn complaints(&mut self) -> Vec<String> {
        self.events.extend(self.answers.try_iter());
        let complaint = |event: &Value| {
            let parameters = &event["params"];
            let told = match event["method"].as_str()? {
                "Runtime.exceptionThrown" | "Log.entryAdded" | "Page.javascriptDialogOpening" => true,
                "Runtime.consoleAPICalled" => true,
                "Network.requestWillBeSent" => {
                    !parameters["request"]["url"].as_str().is_some_and(|url| url.starts_with("file:"))
                }
                _ => false,
            };
            if told { Some(parameters.to_string()) } else { None }
        };
        self.events.iter().filter_map(complaint).collect()
    }

    /// Keeps a picture in the directory that `SHMAUDIT_SCREENSHOTS` names, to be looked at.
    pub fn picture(&mut self, name: &str) -> Result<(), Stop> {
        let Some(directory) = std::env::var_os("SHMAUDIT_SCREENSHOTS") else { return Ok(()) };
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }))?;
        let shot = shot["data"].as_str().unwrap_or_default().as_bytes();
        let bytes = data_encoding::BASE64.decode(shot)?;
        std::fs::write(Path::new(&directory).join(format!("{name}.png")), bytes)?;
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Killed, it would leave its files in /tmp: it is asked first, and closes its end when it is gone.
        self.session = None;
        let deadline = Instant::now() + Duration::from_secs(5);
        if self.call("Browser.close", json!({})).is_ok() {
            while self.answers.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
        }
        sys::kill_group(self.child.id());
        let _ = self.child.wait();
    }
}

/// The messages of a pipe.
fn messages(pipe: File) -> Receiver<Value> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        loop {
            let mut message = Vec::new();
            if pipe.read_until(0, &mut message).unwrap_or(0) == 0 {
                return;
            }
            message.pop();
            let Ok(message) = serde_json::from_slice(&message) else { continue };
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}
