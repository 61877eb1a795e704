//! Many documents: the work for each does not grow with their number.

use super::*;

/// As the ring does after everything that happens.
fn poll(rig: &mut Rig) -> Option<Want> {
    let _ = tell(rig);
    rig.desired.cluster_due(rig.now.mono);
    rig.desired.supply_due(rig.now.mono);
    for supply in Supply::ALL {
        assert_eq!(rig.desired.want_supply(rig.now.mono, supply), None);
    }
    rig.desired.want(rig.now.mono, true, true)
}

#[test]
fn the_work_for_ten_thousand_documents_is_ten_thousand_times_that_for_one() {
    let work = |documents: usize| {
        let names: Vec<String> = (0..documents).map(|n| format!("document-{n:05}")).collect();
        let heads: Vec<Head> = names.iter().map(|name| head(name, 1)).collect();
        let mut rig = Rig::new(&[], [None; 2]);
        rig.pass(60);
        let (before, mut written) = (shelf::work::STEPS.get(), 0);
        rig.desired.begun(rig.now, &Want::Pull { parent: true });
        rig.list(heads.clone(), Some(there("p")));
        // Each is enforced, half of them once more because something is wrong with it.
        for (n, name) in names.iter().enumerate() {
            assert!(matches!(poll(&mut rig), Some(Want::Enforce(_))), "{name}");
            match n % 2 {
                0 => rig.apply(name, 1, Compliance::Compliant),
                _ => rig.fail(name, "Refused"),
            }
        }
        assert_eq!(poll(&mut rig), None);
        rig.list(heads, None);
        // And then all are gone.
        for _ in 0..2 {
            rig.list(vec![], Some(there("p")));
        }
        for name in &names {
            assert_eq!(poll(&mut rig), Some(Want::Confirm(key(name))));
            rig.confirm(name, true, there("p"));
            assert_eq!(poll(&mut rig), Some(Want::Withdraw(key(name))));
            rig.withdrawal(name, Withdrawn::Gone);
            written += usize::from(rig.desired.document().is_some());
        }
        assert!(written <= 2, "the marks of all were written {written} times while they went one by one");
        while rig.desired.news {
            poll(&mut rig);
        }
        assert_eq!(rig.desired.view().documents.len(), 0);
        shelf::work::STEPS.get() - before
    };
    let (one, many) = (work(10), work(10_000));
    assert!(many <= one * 1_200, "{one} looks for 10 documents, {many} for 10,000");
}
