//! What a verdict costs, by counted allocations: a clock would make these tests depend on the machine. The times
//! stand in `benches/judge.rs`.

use allocation_counter::{AllocationInfo, measure};
use fixture_guard_core::{Environment, Facts, Policy, Surroundings, Target, judge};

/// `others` environments that do not fit, half of them protected, and one that does.
fn policy(others: usize) -> Policy {
    let mut policy = Policy::new();
    for number in 0..others {
        let name = format!("other-{number}");
        let mut environment =
            if number % 2 == 0 { Environment::protected(&name) } else { Environment::destructive(&name) };
        for pattern in 0..20 {
            environment = environment.host(&format!("*-{number}-{pattern}-other*")).unwrap();
        }
        policy = policy.environment(environment.database("other_*").unwrap()).unwrap();
    }
    policy.environment(Environment::destructive("staging").host("*-staging*").unwrap()).unwrap()
}

fn cost_of_a_verdict(policy: &Policy, target: &Target) -> AllocationInfo {
    let surroundings: Surroundings = [("APP_ENV", "test")].into_iter().collect();
    let facts =
        Facts { target, surroundings: &surroundings, narrowing: None, addresses: None, identity: None };
    measure(|| drop(judge(policy, &facts)))
}

#[test]
fn environments_that_do_not_fit_cost_no_allocation() {
    let (target, _) = Target::from_postgres_dsn("postgres://app@db-staging.internal/app_test").unwrap();
    let alone = cost_of_a_verdict(&policy(0), &target);
    let among_many = cost_of_a_verdict(&policy(200), &target);
    assert_eq!(alone.count_total, 1, "the environment's name in the clearance");
    assert_eq!(alone.count_total, among_many.count_total);
    assert_eq!(alone.bytes_total, among_many.bytes_total);
}

#[test]
fn a_refusal_is_no_longer_for_many_environments() {
    let (target, _) = Target::from_postgres_dsn("postgres://app@elsewhere.internal/app_test").unwrap();
    let few = cost_of_a_verdict(&policy(20), &target);
    let many = cost_of_a_verdict(&policy(400), &target);
    assert!(many.bytes_total < few.bytes_total + 200, "{} after {}", many.bytes_total, few.bytes_total);
}

type Piece = fn(usize) -> String;

/// What reading and judging a DSN of this many repetitions allocates in all.
fn cost_of_a_dsn(begin: &str, piece: Piece, length: usize) -> AllocationInfo {
    let mut dsn = begin.to_owned();
    for number in 0.. {
        if dsn.len() >= length {
            break;
        }
        dsn.push_str(&piece(number));
    }
    let policy = policy(20);
    let surroundings = Surroundings::default();
    measure(|| {
        let Ok((target, _)) = Target::from_postgres_dsn(&dsn) else { return };
        let facts = Facts {
            target: &target,
            surroundings: &surroundings,
            narrowing: None,
            addresses: None,
            identity: None,
        };
        let reasons = judge(&policy, &facts).err().unwrap_or_default();
        assert!(reasons.len() < 200, "{} reasons", reasons.len());
    })
}

#[test]
fn a_hostile_dsn_costs_in_proportion_to_its_length() {
    let shapes: [(&str, Piece); 10] = [
        ("postgres://app@db-staging/app?", |_| "@".into()),
        ("postgres://", |_| "@".into()),
        ("postgres://app@db-staging/", |_| "%25".into()),
        ("postgres://app@db-staging/", |_| "/".into()),
        ("postgres://app@db-staging/", |_| "a/../".into()),
        ("postgres://app@db-staging/app?", |number| format!("host=db{number}-staging&")),
        ("postgres://app@db-staging/app?", |number| format!("host=db{number}%20&")),
        ("postgres://app@db-staging/app?", |number| format!("options=-cx.y{number}%3Dproduct&")),
        ("postgres://app@db-staging/app?", |number| format!("x{number}=product{number}&")),
        ("postgres://app@db-staging/app?", |number| format!("server{number}=x&")),
    ];
    // allocations are counted by thread
    std::thread::scope(|scope| {
        for (begin, piece) in shapes {
            scope.spawn(move || {
                let short = cost_of_a_dsn(begin, piece, 100_000);
                let long = cost_of_a_dsn(begin, piece, 1_000_000);
                let name = format!("{begin}{}", piece(0));
                assert!(long.count_total <= 11 * short.count_total + 1_000, "{name}: {short:?} {long:?}");
                // buffers double, so that one of them may be twice as long as needed
                assert!(long.bytes_total <= 25 * short.bytes_total, "{name}: {short:?} {long:?}");
            });
        }
    });
}
