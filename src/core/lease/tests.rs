//! The machine by itself, and several of them around one Lease under a seeded scheduler.

use super::*;
use crate::core::testing::Seeded;

fn seen(holder: &str, version: u64) -> Seen {
    Seen {
        holder: holder.into(),
        renewed: String::new(),
        acquired: String::new(),
        transitions: 0,
        version: version.to_string(),
    }
}

fn s(seconds: u64) -> Mono {
    Mono(seconds * 1_000)
}

/// Asks what is wanted at `now` and answers it at once.
fn step(lease: &mut Lease, now: Mono, answer: Answer) -> Call {
    let call = lease.want(now).expect("a call");
    lease.begun(now, &call);
    lease.answered(now, &mut Seeded(1), answer);
    call
}

#[test]
fn a_single_node_writes_no_lease_and_its_right_ends_unless_the_nodes_are_counted_again() {
    let mut lease = Lease::new("a".into());
    assert_eq!((lease.state(s(0)), lease.fence(s(0))), ("unknown", None));
    assert!(lease.count_due(s(0), Duration::ZERO));
    lease.counted(s(3), s(1), 1);
    assert_eq!(lease.fence(s(3)), None, "there may be a Lease");
    assert_eq!(step(&mut lease, s(3), Answer::Absent), Call::Look);
    assert_eq!((lease.want(s(1_000)), lease.due(), lease.state(s(3))), (None, None, "alone"));
    assert_eq!((lease.fence(s(50)), lease.fence(s(51))), (Some(s(51)), None));
    assert!(!lease.count_due(s(40), s(10).since(s(0))) && lease.count_due(s(41), s(10).since(s(0))));
    assert!(lease.reports(s(1_000)), "nobody else does");
}

#[test]
fn counts_that_come_faster_than_looks_keep_nobody_from_the_right() {
    let mut lease = Lease::new("a".into());
    lease.counted(s(1), s(1), 1);
    let mut last = s(1);
    for _ in 0..20 {
        let now = lease.due().expect("a look that is still to come").max(last);
        let call = lease.want(now).expect("a look");
        lease.begun(now, &call);
        let next = now + Duration::from_secs(1);
        lease.counted(next, next, 1);
        lease.answered(next, &mut Seeded(1), Answer::Absent);
        assert_eq!(lease.fence(next), Some(last + (TERM - MARGIN)), "of the count before the look");
        last = next;
    }
    // Nor is one node believed by a look that is older than the count.
    let [two, one] = [1, 2].map(|seconds| last + Duration::from_secs(seconds));
    lease.counted(two, two, 2);
    let call = lease.want(two).expect("a look");
    lease.begun(two, &call);
    lease.counted(one, one, 1);
    lease.answered(one, &mut Seeded(1), Answer::Absent);
    assert_eq!((lease.state(one), lease.fence(one)), ("candidate", None));
}

#[test]
fn whoever_counts_one_node_goes_by_the_lease_where_there_is_one_until_it_is_gone() {
    let mut lease = Lease::new("a".into());
    lease.counted(s(0), s(0), 1);
    step(&mut lease, s(0), Answer::There(seen("b", 1)));
    assert_eq!((lease.state(s(0)), lease.fence(s(0)), lease.reports(s(0))), ("candidate", None, false));
    let due = lease.due().unwrap();
    assert_eq!(step(&mut lease, due, Answer::There(seen("b", 2))), Call::Look);
    let due = lease.due().unwrap();
    lease.counted(due, due, 1);
    step(&mut lease, due, Answer::Absent);
    assert_eq!((lease.state(due), lease.fence(due)), ("alone", Some(due + (TERM - MARGIN))));
}

#[test]
fn who_may_not_look_is_alone_on_one_node_and_never_leads_on_several() {
    let no = || Answer::Refused(Reason::new("Forbidden", "no role"));
    let mut lease = Lease::new("a".into());
    lease.counted(s(0), s(0), 1);
    step(&mut lease, s(0), no());
    assert_eq!((lease.state(s(0)), lease.fence(s(0)), lease.trouble()), ("alone", Some(s(50)), None));
    lease.counted(s(1), s(1), 2);
    step(&mut lease, s(1), no());
    assert_eq!((lease.fence(s(1)), lease.reports(s(1))), (None, true));
    assert_eq!(lease.trouble().unwrap().code, "Forbidden");
}

#[test]
fn who_cannot_count_competes_for_the_lease() {
    let mut lease = Lease::new("a".into());
    lease.uncountable(s(0));
    assert!(!lease.count_due(s(0), Duration::ZERO));
    step(&mut lease, s(0), Answer::There(seen("", 1)));
    let due = lease.due().unwrap();
    step(&mut lease, due, Answer::There(seen("a", 2)));
    assert_eq!(lease.state(due), "leader");
}

#[test]
fn an_absent_lease_is_created_only_after_it_was_seen_absent_for_a_term() {
    let mut lease = Lease::new("b".into());
    lease.counted(s(0), s(0), 2);
    let mut now = s(0);
    while step(&mut lease, now, Answer::Absent) == Call::Look {
        assert_eq!(lease.fence(now), None);
        now = lease.due().unwrap();
    }
    assert!(now >= s(60) && now < s(85), "{now:?}");
}

#[test]
fn a_restarted_holder_has_its_lease_back_at_once_and_a_conflict_ends_its_right() {
    let mut lease = Lease::new("a".into());
    lease.counted(s(0), s(0), 2);
    assert_eq!(step(&mut lease, s(0), Answer::There(seen("a", 1))), Call::Look);
    assert_eq!(lease.fence(s(0)), None);
    step(&mut lease, s(0), Answer::There(seen("a", 2)));
    assert_eq!((lease.fence(s(0)), lease.state(s(0))), (Some(s(50)), "leader"));
    let due = lease.due().unwrap();
    step(&mut lease, due, Answer::Conflict);
    assert_eq!((lease.fence(due), lease.want(due)), (None, Some(Call::Look)));
}

#[test]
fn a_lease_is_not_released_while_a_write_without_an_answer_may_come_into_force() {
    let mut lease = Lease::new("a".into());
    lease.counted(s(0), s(0), 2);
    step(&mut lease, s(0), Answer::There(seen("a", 1)));
    step(&mut lease, s(0), Answer::There(seen("a", 2)));
    lease.unanswered(s(1));
    assert_eq!(lease.release(s(10)), None);
    let call = lease.release(s(11)).unwrap();
    lease.begun(s(11), &call);
    assert_eq!(lease.fence(s(11)), None);
}

/// One agent of the simulation, with a clock of its own.
struct Agent {
    lease: Lease,
    offset: u64,
    up: bool,
    cut_off: bool,
    /// Answers that are on their way, by the number of the call they are for.
    call: u64,
    deadline: u64,
    /// Until when something that it sent may still come into force (true time).
    writing: u64,
}

enum Event {
    Arrives(usize, u64, Call),
    Answers(usize, u64, Answer),
}

/// Runs one seed; returns how often the leader changed.
fn contest(seed: u64) -> u32 {
    let mut rng = Seeded(seed);
    let mut below = |n: u64| ((u128::from(rng.next_u64()) * u128::from(n)) >> 64) as u64;
    let mut machine_rng = Seeded(!seed);
    let count = 2 + below(2) as usize;
    let mut agents: Vec<Agent> = (0..count)
        .map(|n| Agent {
            lease: Lease::new(n.to_string()),
            offset: below(1_000_000_000),
            up: true,
            cut_off: false,
            call: 0,
            deadline: 0,
            writing: 0,
        })
        .collect();
    for agent in &mut agents {
        agent.lease.counted(Mono(agent.offset), Mono(agent.offset), 2);
    }
    let (mut object, mut version): (Option<Seen>, u64) = (None, 0);
    let mut events: Vec<(u64, Event)> = Vec::new();
    let (mut leader, mut changes) = (None, 0);
    let (rough, end) = (3_600_000, 3_900_000);
    for now in (0..end).step_by(250) {
        let weather = now < rough;
        for (n, agent) in agents.iter_mut().enumerate() {
            let local = Mono(now + agent.offset);
            if weather && below(2_000) == 0 {
                agent.cut_off = !agent.cut_off;
            }
            if weather && below(1_500) == 0 {
                // A crash, or a start: with another clock, and with the same name.
                agent.up = !agent.up;
                agent.call += 1;
                agent.offset = below(1_000_000_000);
                agent.lease = Lease::new(n.to_string());
                let local = Mono(now + agent.offset);
                agent.lease.counted(local, local, 2);
                continue;
            }
            if !weather {
                (agent.cut_off, agent.up) = (false, true);
            }
            if !agent.up {
                continue;
            }
            if agent.lease.asked.is_some() && agent.deadline <= now {
                agent.call += 1;
                agent.lease.answered(local, &mut machine_rng, Answer::Failed);
            }
            let quiet = agent.writing <= now;
            let release =
                if weather && quiet && below(1_000) == 0 { agent.lease.release(local) } else { None };
            if let Some(call) = release.or_else(|| agent.lease.want(local)) {
                agent.lease.begun(local, &call);
                (agent.call, agent.deadline) = (agent.call + 1, now + 30_000);
                if !agent.cut_off {
                    let slow = if weather && below(8) == 0 { 90_000 } else { 500 };
                    events.push((now + below(slow), Event::Arrives(n, agent.call, call)));
                }
            }
            // A write is given up at the fence; the API server may have it in hand for most of the margin.
            if let Some(until) = agent.lease.fence(local) {
                if below(4) == 0 {
                    let fence = until.0 - agent.offset;
                    let ends = (now + below(60_000)).min(fence) + below(9_000);
                    // A release has to wait for what has no answer, so the model lets nothing outlive it unnoticed.
                    agent.writing = agent.writing.max(ends);
                }
                if leader != Some(n) {
                    (leader, changes) = (Some(n), changes + 1);
                }
            }
        }
        let (due, later): (Vec<_>, Vec<_>) = events.into_iter().partition(|(at, _)| *at <= now);
        events = later;
        for (_, event) in due {
            match event {
                Event::Arrives(n, number, call) => {
                    let answer = match call {
                        Call::Look => object.clone().map_or(Answer::Absent, Answer::There),
                        Call::Write { base, holder } if base == object => {
                            version += 1;
                            object = Some(seen(&holder, version));
                            Answer::There(seen(&holder, version))
                        }
                        Call::Write { .. } => Answer::Conflict,
                    };
                    let slow = if weather && below(8) == 0 { 60_000 } else { 500 };
                    events.push((now + 1 + below(slow), Event::Answers(n, number, answer)));
                }
                Event::Answers(n, number, answer) => {
                    let agent = &mut agents[n];
                    if agent.up && !agent.cut_off && agent.call == number {
                        agent.lease.answered(Mono(now + agent.offset), &mut machine_rng, answer);
                    }
                }
            }
        }
        let writers = agents.iter().filter(|agent| agent.writing > now).count();
        assert!(writers <= 1, "seed {seed}: {writers} agents write at {now} ms");
    }
    let leaders = agents.iter().filter(|a| a.lease.fence(Mono(end + a.offset)).is_some()).count();
    assert_eq!(leaders, 1, "seed {seed}: five minutes of good weather and no leader");
    changes
}

#[test]
fn never_do_two_agents_write_at_once_and_good_weather_brings_a_leader() {
    let changes: u32 = (0..200).map(contest).sum();
    println!("200 seeds, {changes} changes of the leader");
    // A leader that never changes proves nothing.
    assert!(changes > 600, "{changes}");
}
