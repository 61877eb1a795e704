//! `kill -9` wherever `connect` can be: the next run finishes, and the end is the same as without a kill.

use crate::rig::Rig;

/// The state that every history must end in.
#[track_caller]
fn ends_as_it_should(rig: &Rig, history: &str) {
    let ran = rig.connect(&[]);
    assert_eq!(ran.code, Some(0), "{history}: {}", ran.all());
    assert_eq!(rig.objects().len(), 5, "{history}");
    assert!(rig.agent_works(), "{history}");
    let cluster = rig.azure.world().cluster.clone().unwrap();
    assert_eq!(cluster["properties"]["provisioningState"], "Succeeded", "{history}");
    assert_eq!(cluster["tags"]["arclet-connected"], "made", "{history}");
    let puts = rig.azure.writes().iter().filter(|write| write.starts_with("PUT ")).count();
    assert!(puts <= 2, "{history}: one that was never answered and one more at most, not {puts}");
    assert!(arclet::config::Config::load(&rig.path("etc/arclet.toml")).is_ok(), "{history}");
}

#[test]
fn at_each_request_to_azure() {
    let whole = Rig::new();
    whole.connect(&[]).ok();
    let requests = whole.azure.world().requests.clone();
    let first_write = requests.iter().position(|request| request.starts_with("PUT ")).unwrap();
    assert!(requests.len() > first_write + 2, "the operation is polled: {requests:?}");
    // All requests before the first write are questions: one of them stands for them all.
    for at in [0].into_iter().chain(first_write..requests.len()) {
        let rig = Rig::new();
        rig.azure.world().hold = Some(at);
        let mut child = rig.spawn_connect();
        rig.azure.wait_until_held();
        child.kill().unwrap();
        child.wait().unwrap();
        rig.azure.release();
        ends_as_it_should(&rig, &format!("killed at {}", requests[at]));
    }
}

#[test]
fn at_each_answer_from_azure_that_nobody_heard() {
    // The server did it, the client was dead before the answer: what a kill between the two leaves.
    let rig = Rig::new();
    let made = crate::azure::cluster(
        serde_json::json!({"arclet-connected": "made"}),
        serde_json::json!({"provisioningState": "Accepted"}),
    );
    {
        let mut world = rig.azure.world();
        world.cluster = Some(made);
        world.polls = 3;
    }
    ends_as_it_should(&rig, "PUT accepted, answer unheard");
    assert!(rig.azure.writes().is_empty(), "it is waited for, not asked for again");
}

#[test]
fn at_each_file() {
    // Files appear whole and in this order, so a kill leaves a beginning of it, perhaps with a half-written neighbour.
    let files = ["connect.json", "credentials/client-secret", "credentials/kubeconfig", "arclet.toml"];
    let whole = Rig::with_cluster();
    whole.connect(&[]).ok();
    for kept in 0..=files.len() {
        let rig = Rig::with_cluster();
        rig.connect(&[]).ok();
        for gone in &files[kept..] {
            std::fs::remove_file(rig.path("etc").join(gone)).unwrap();
        }
        if let Some(half) = files.get(kept) {
            let name = half.rsplit('/').next().unwrap();
            std::fs::write(rig.path("etc").join(half).with_file_name(format!("{name}.new")), "ha").unwrap();
        }
        ends_as_it_should(&rig, &format!("{kept} files written"));
        let left: Vec<_> = std::fs::read_dir(rig.path("etc/credentials")).unwrap().collect();
        assert_eq!(left.len(), 2, "no half-written file stays: {left:?}");
    }
}

#[test]
fn at_each_request_to_the_api_server() {
    let whole = Rig::with_cluster();
    whole.connect(&[]).ok();
    let requests = whole.kube.stats().requests;
    for at in (1..=requests).step_by(3) {
        let rig = Rig::with_cluster();
        let mut child = rig.spawn_connect();
        // From the at-th request on none is answered, as near as a look from outside can bring it.
        while rig.kube.stats().requests < at && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        ends_as_it_should(&rig, &format!("killed at request {at} of {requests}"));
    }
}
