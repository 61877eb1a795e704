//! One run: build, bring up both ends, connect, run the script, drain, judge.

use crate::cluster::Cluster;
use crate::device::{Device, ask};
use crate::options::Options;
use crate::page::{Press, Pressed};
use crate::rows::{links, shown};
use crate::script::{Step, steps};
use crate::state::Shared;
use crate::wish::{Deed, Show, View};
use crate::{build, page};
use azure_standin::Azure;
use k3s_standin::ApiServer;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How often the cluster changes, and the script is looked at.
const CHANGE: Duration = Duration::from_millis(5);
/// How often the lab looks at the agent and at what arrived.
const LOOK: Duration = Duration::from_millis(100);
/// A hang guard for the drain at the end; what has not arrived by then is called lost.
const DRAIN: Duration = Duration::from_secs(120);
/// The script of an endless run repeats at this length.
const ROUND: Duration = Duration::from_secs(60);

/// Runs the lab; an error is what a person should read.
pub async fn run(options: Options) -> Result<(), String> {
    let arclet = match &options.arclet {
        Some(path) => path.clone(),
        None => build::release_binary().await?,
    };
    let scratch = tempfile::Builder::new()
        .prefix("arclet-lab-")
        .tempdir()
        .map_err(|e| format!("no temporary directory: {e}"))?;
    let home = options.keep.as_deref().unwrap_or(scratch.path()).to_path_buf();
    std::fs::create_dir_all(&home).map_err(|e| format!("cannot make {}: {e}", home.display()))?;
    let azure = Azure::start(azure_standin::Options::default())
        .map_err(|e| format!("the Azure stand-in does not start: {e}"))?;
    let cluster = Cluster::start(&options, &home)?;

    let shared = Shared::default();
    shared.lock().mode = format!("{}  ·  {}", cluster.describe(), arclet.display());
    shared.lock().up = true;
    let listener = page::bind(options.port)
        .await
        .map_err(|e| format!("port {} for the page: {e}; choose another with --port", options.port))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    eprintln!("lab: page: http://{address}/");
    let (switch, mut pressed) = mpsc::unbounded_channel();
    let server = tokio::task::spawn_local(page::serve(listener, shared.clone(), switch));

    let mut lab = Lab {
        options,
        azure,
        cluster,
        device: Device::new(arclet, home.clone()),
        shared,
        start: Instant::now(),
        seen: 0,
        by_hand: false,
        show: Show::default(),
    };
    let judged = lab.turn(&home, &mut pressed).await;
    server.abort();
    judged
}

struct Lab {
    options: Options,
    azure: Azure,
    cluster: Cluster,
    device: Device,
    shared: Shared,
    start: Instant,
    /// How many of the stand-in's arrivals were looked at.
    seen: usize,
    /// A person pressed something: the script leaves link, device and desired state alone from then on.
    by_hand: bool,
    /// Desired state.
    show: Show,
}

impl Lab {
    async fn turn(
        &mut self,
        home: &Path,
        pressed: &mut mpsc::UnboundedReceiver<Pressed>,
    ) -> Result<(), String> {
        self.connect(home).await?;
        let (acks, mut acknowledged) = mpsc::unbounded_channel();
        let pid = self.device.start(acks.clone())?;
        self.start = Instant::now();
        self.event(&format!("arclet runs (pid {pid})"));
        let mut script = steps(self.options.length.unwrap_or(ROUND));
        script.reverse();
        let mut tick = tokio::time::interval(CHANGE);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks = 0_u64;
        // One for the whole run: of a signal between two of them nobody would hear.
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let per_look = (LOOK.as_millis() / CHANGE.as_millis()) as u64;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                Some(press) = pressed.recv() => { self.press(press, &acks).await?; continue; }
                _ = &mut interrupted => break,
            }
            self.cluster.change(ticks);
            ticks += 1;
            if ticks.is_multiple_of(per_look) {
                self.look(&mut acknowledged).await?;
            }
            let elapsed = self.start.elapsed();
            while let Some((at, step)) = script.last().copied()
                && at <= elapsed
                && (self.by_hand || !self.show.holds_up(step, elapsed))
            {
                script.pop();
                self.step(step, &acks).await?;
            }
            match self.options.length {
                Some(length) if elapsed >= length && script.is_empty() => break,
                None if script.is_empty() && !self.by_hand => {
                    let round = steps(ROUND).into_iter().map(|(at, step)| (elapsed + at, step));
                    // One kill is enough to look at; the outages go on.
                    script = round.filter(|(_, step)| *step != Step::Kill).collect::<Vec<_>>();
                    script.reverse();
                }
                _ => {}
            }
            if ticks.is_multiple_of(10 * per_look) && !self.options.json {
                eprintln!("{}", self.shared.lock().line());
            }
        }
        self.finish(&mut acknowledged).await
    }

    /// What a person would type on a new device.
    async fn connect(&mut self, home: &Path) -> Result<(), String> {
        let (arguments, environment) = self.cluster.connect_command(&self.azure, &self.device, home)?;
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        self.device.command(&arguments, &environment).await?;
        self.cluster.tune(&self.device.config(), &self.device.socket(), home)
    }

    async fn step(&mut self, step: Step, acks: &mpsc::UnboundedSender<String>) -> Result<(), String> {
        match step {
            _ if self.by_hand => {}
            Step::Cut => self.set_link(false),
            Step::Restore => self.set_link(true),
            Step::Do(deed) => self.act(deed),
            Step::Kill => self.reboot(acks).await?,
        }
        Ok(())
    }

    /// Does what a person pressed; an error is the lab's end, what cannot be done is an answer.
    async fn press(&mut self, pressed: Pressed, acks: &mpsc::UnboundedSender<String>) -> Result<(), String> {
        self.by_hand = true;
        let answer = match &pressed.press {
            Press::Link(up) => {
                self.set_link(*up);
                Ok(())
            }
            Press::Reboot => {
                self.reboot(acks).await?;
                Ok(())
            }
            Press::Do(deed) => {
                self.try_to(|show, (azure, cluster, at, up)| show.act(*deed, azure, cluster, at, up))
            }
            Press::Hand(hand) => {
                self.try_to(|show, (azure, cluster, at, up)| show.hand(hand, azure, cluster, at, up))
            }
        };
        // Whoever has gone away does not want to know.
        let _ = pressed.answer.send(answer);
        Ok(())
    }

    async fn reboot(&mut self, acks: &mpsc::UnboundedSender<String>) -> Result<(), String> {
        self.device.kill().await?;
        self.shared.lock().kills.push(self.start.elapsed().as_secs_f64());
        let pid = self.device.start(acks.clone())?;
        self.event(&format!("kill -9, and started again (pid {pid})"));
        Ok(())
    }

    fn act(&mut self, deed: Deed) {
        let done = self.try_to(|show, (azure, cluster, at, up)| show.act(deed, azure, cluster, at, up));
        if let Err(refused) = done {
            self.event(&refused);
        }
    }

    /// Does something to desired state, and says so.
    fn try_to(
        &mut self,
        what: impl FnOnce(&mut Show, (&Azure, &ApiServer, Duration, bool)) -> Result<String, String>,
    ) -> Result<(), String> {
        let Cluster::Embedded(cluster) = &self.cluster else {
            return Err("desired state is off on a real cluster".to_owned());
        };
        let up = self.shared.lock().up;
        let said = what(&mut self.show, (&self.azure, cluster, self.start.elapsed(), up))?;
        self.event(&said);
        Ok(())
    }

    /// Looks at what came of desired state.
    async fn look_at_desired(&mut self) {
        let Cluster::Embedded(cluster) = &self.cluster else { return };
        let desired = ask(&self.device.socket(), "desired").await.unwrap_or_default();
        let up = self.shared.lock().up;
        let said = self.show.look(&self.azure, cluster, &desired, self.start.elapsed(), up);
        let view = View::of(&self.azure, cluster, &desired);
        let mut state = self.shared.lock();
        said.iter().for_each(|line| state.event(line));
        state.desired = Some(view);
    }

    fn set_link(&mut self, up: bool) {
        let now = self.start.elapsed().as_secs_f64();
        let mut state = self.shared.lock();
        if state.up == up {
            return;
        }
        state.up = up;
        let n = if up {
            if let Some(outage) = state.outages.last_mut() {
                outage.1 = Some(now);
            }
            state.outages.len()
        } else {
            state.outages.push((now, None));
            state.outages.len()
        };
        drop(state);
        if up {
            self.azure.restore_all()
        } else {
            self.azure.cut_all()
        }
        self.event(&if up { format!("link restored ({n})") } else { format!("link cut ({n})") });
    }

    /// Takes in what happened since the last look.
    async fn look(&mut self, acknowledged: &mut mpsc::UnboundedReceiver<String>) -> Result<(), String> {
        let status = ask(&self.device.socket(), "status").await;
        self.look_at_desired().await;
        let arrived = self.azure.arrived_since(self.seen);
        self.seen += arrived.len();
        let elapsed = self.start.elapsed();
        let mut state = self.shared.lock();
        state.elapsed = elapsed;
        state.observed = self.cluster.requests();
        while let Ok(id) = acknowledged.try_recv() {
            state.ledger.acknowledge(&id);
        }
        for row in &arrived {
            state.ledger.arrive(row.row["MessageId"].as_str().unwrap_or_default());
            state.row(shown(row, elapsed));
        }
        state.sample();
        if let Some(status) = status {
            state.links = links(&status);
        }
        drop(state);
        match self.device.ended() {
            Some(status) => Err(format!(
                "the agent ended by itself ({status}); the end of its log:\n{}",
                self.device.log_tail()
            )),
            None => Ok(()),
        }
    }

    /// The link is restored, the load stops, the outbox drains, the agent is stopped, and the count is taken.
    async fn finish(&mut self, acknowledged: &mut mpsc::UnboundedReceiver<String>) -> Result<(), String> {
        self.set_link(true);
        self.event("the load has stopped; draining");
        let patience = Instant::now();
        let mut quiet = 0;
        let mut tick = tokio::time::interval(LOOK);
        while quiet < 10 && patience.elapsed() < DRAIN {
            tick.tick().await;
            let before = self.shared.lock().ledger.sent();
            self.look(acknowledged).await?;
            let state = self.shared.lock();
            let still = state.ledger.missing() == 0 && state.ledger.sent() == before;
            quiet = if still && self.show.settled() { quiet + 1 } else { 0 };
        }
        let status = self.device.stop().await?;
        if !status.success() {
            return Err(format!(
                "the agent did not stop cleanly ({status}); the end of its log:\n{}",
                self.device.log_tail()
            ));
        }
        let violations = self.azure.violations();
        let state = &mut *self.shared.lock();
        let mut summary = state.ledger.summary(state.outages.len() as u64, state.kills.len() as u64);
        let real = self.options.kubeconfig.is_some();
        summary.desired = (!real).then(|| self.show.summary());
        state.lost = Some(summary.lost);
        eprintln!("{}", state.line());
        if self.options.json {
            println!("{}", serde_json::to_string(&summary).map_err(|e| e.to_string())?);
        }
        if let Some(violation) = violations.first() {
            return Err(format!(
                "{} rows do not fit the data collection rule, the first: {violation}",
                violations.len()
            ));
        }
        match summary.objection(real) {
            Some(objection) if self.options.length.is_some() => Err(objection),
            _ => Ok(()),
        }
    }

    fn event(&self, text: &str) {
        self.shared.lock().event(text);
    }
}
