//! The cache of good answers against a list that is searched from end to end, and the chain against its sentences: random
//! courses, with seeds.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::Duration;

use fuseboard_core::fallback::{
    Cache, CallAnswer, Cap, FallbackPolicy, Lookup, MAX_HOPS, Match, Selecting, Situation, Skip,
    StaticAnswer, Step, StepKind, Storable, Stored, Template, Trigger, Triggers, Verdict,
};
use fuseboard_core::refusal::RefusalReason;
use fuseboard_core::{Instant, Rng};
use fuseboard_grpc::Code;

/// What the cache adds to each entry.
const OVERHEAD: usize = 256;

/// One answer as the model remembers it.
struct Remembered {
    key: u8,
    selecting: Selecting,
    answer: u64,
    size: usize,
    storable: Storable,
    at: Instant,
    used: u64,
}

#[derive(Default)]
struct Model {
    all: Vec<Remembered>,
    max: usize,
    uses: u64,
}

impl Model {
    fn bytes(&self) -> usize {
        self.all.iter().map(|one| one.size).sum()
    }

    fn drop_oldest(&mut self) {
        let oldest = self.all.iter().enumerate().min_by_key(|(_, one)| one.used).map(|(index, _)| index);
        self.all.remove(oldest.unwrap());
    }

    fn insert(&mut self, mut new: Remembered) -> bool {
        self.all.retain(|one| !(one.key == new.key && one.selecting == new.selecting));
        if new.size > self.max {
            return false;
        }
        while self.bytes() + new.size > self.max {
            self.drop_oldest();
        }
        self.uses += 1;
        new.used = self.uses;
        self.all.push(new);
        true
    }

    fn find(&mut self, key: u8, lookup: Lookup, value: Option<u8>, now: Instant) -> Option<(u64, Duration)> {
        let age = |one: &Remembered| one.storable.age + now.saturating_since(one.at);
        let fits = |one: &&mut Remembered| {
            let stale = age(one) >= one.storable.lifetime;
            one.key == key
                && age(one) <= lookup.max_age
                && age(one) <= lookup.oldest
                && !(stale && one.storable.never_stale)
                && one.selecting == selecting(!one.selecting.is_empty(), value)
        };
        let found = self.all.iter_mut().filter(fits).min_by_key(|one| (age(one), one.used))?;
        self.uses += 1;
        found.used = self.uses;
        Some((found.answer, age(found)))
    }
}

/// By one field or by none.
fn selecting(by_one: bool, value: Option<u8>) -> Selecting {
    if !by_one {
        return Vec::new();
    }
    vec![(Box::from(&b"x"[..]), value.map(|value| Box::from(&[value][..])))]
}

fn below(rng: &mut Rng, bound: u64) -> u64 {
    rng.next_u64() % bound
}

fn seconds(rng: &mut Rng, bound: u64) -> Duration {
    Duration::from_secs(below(rng, bound))
}

#[test]
fn the_cache_gives_what_a_list_would_give_and_never_more_bytes_than_allowed() {
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let max = 2_000 + usize::try_from(below(&mut rng, 8_000)).unwrap();
        let (mut cache, mut model) = (Cache::new(max), Model { max, ..Model::default() });
        let mut now = Instant::ZERO;
        for course in 0..300_u64 {
            now = now + seconds(&mut rng, 4);
            let key = u8::try_from(below(&mut rng, 6)).unwrap();
            let value = [None, Some(1), Some(2)][usize::try_from(below(&mut rng, 3)).unwrap()];
            match below(&mut rng, 10) {
                0..=3 => {
                    // Equal ages would leave the choice open.
                    now = now + Duration::from_millis(1);
                    let storable = Storable {
                        age: seconds(&mut rng, 3),
                        lifetime: seconds(&mut rng, 30),
                        never_stale: below(&mut rng, 4) == 0,
                    };
                    let selecting = selecting(below(&mut rng, 3) > 0, value);
                    let bytes = usize::try_from(below(&mut rng, 3_000)).unwrap();
                    let fields: usize = selecting
                        .iter()
                        .map(|(name, value)| name.len() + value.as_ref().map_or(0, |value| value.len()))
                        .sum();
                    let size = bytes + fields + 1 + OVERHEAD;
                    let stored =
                        Stored { selecting: selecting.clone(), answer: Arc::new(course), bytes, storable };
                    let kept = cache.insert(&[key], stored, now);
                    let new = Remembered { key, selecting, answer: course, size, storable, at: now, used: 0 };
                    assert_eq!(kept, model.insert(new), "seed {seed}, course {course}");
                }
                4..=7 => {
                    let lookup = Lookup { max_age: seconds(&mut rng, 60), oldest: seconds(&mut rng, 90) };
                    let found =
                        cache.find(&[key], lookup, |_| value.map(|value| Box::from(&[value][..])), now);
                    let found = found.map(|hit| (*hit.answer, hit.age));
                    assert_eq!(found, model.find(key, lookup, value, now), "seed {seed}, course {course}");
                }
                8 => {
                    cache.invalidate(&[key]);
                    model.all.retain(|one| one.key != key);
                }
                _ => {
                    let max = 1_000 + usize::try_from(below(&mut rng, 8_000)).unwrap();
                    cache.set_max_bytes(max);
                    model.max = max;
                    while model.bytes() > max {
                        model.drop_oldest();
                    }
                }
            }
            let counts = cache.counts();
            assert_eq!(
                (counts.bytes, counts.entries),
                (model.bytes(), model.all.len()),
                "seed {seed}, course {course}"
            );
            assert!(counts.bytes <= model.max, "seed {seed}, course {course}");
        }
    }
}

/// An answer of 100 bytes that is good for ever.
fn lasting(selecting: Selecting) -> Stored<u64> {
    let storable = Storable { age: Duration::ZERO, lifetime: Duration::MAX, never_stale: false };
    Stored { selecting, answer: Arc::new(1), bytes: 100, storable }
}

const ANY_AGE: Lookup = Lookup { max_age: Duration::MAX, oldest: Duration::MAX };

#[test]
fn what_was_kept_and_what_made_room_is_counted() {
    let size = 100 + 1 + OVERHEAD;
    let mut cache = Cache::new(2 * size);
    for key in 0..5_u8 {
        assert!(cache.insert(&[key], lasting(Vec::new()), Instant::ZERO));
    }
    let counts = cache.counts();
    assert_eq!((counts.entries, counts.bytes, counts.stored, counts.evicted), (2, 2 * size, 5, 3));
    cache.clear();
    let counts = cache.counts();
    assert_eq!((counts.entries, counts.bytes, counts.stored, counts.evicted), (0, 0, 5, 3));
    for key in 0..5_u8 {
        assert!(cache.find(&[key], ANY_AGE, |_| None, Instant::ZERO).is_none());
    }
    assert!(cache.insert(&[0], lasting(Vec::new()), Instant::ZERO));
    assert!(cache.find(&[0], ANY_AGE, |_| None, Instant::ZERO).is_some());
    assert_eq!((cache.counts().entries, cache.counts().evicted), (1, 3));
}

#[test]
fn of_more_than_32_answers_for_one_target_the_one_not_used_for_longest_goes() {
    let mut cache = Cache::new(1 << 20);
    let found = |cache: &mut Cache<u64>, value: u8| {
        cache.find(b"/", ANY_AGE, |_| Some(Box::from([value])), Instant::ZERO).is_some()
    };
    for value in 0..32 {
        cache.insert(b"/", lasting(selecting(true, Some(value))), Instant::ZERO);
    }
    assert!(found(&mut cache, 0), "used now");
    cache.insert(b"/", lasting(selecting(true, Some(32))), Instant::ZERO);
    assert_eq!((cache.counts().entries, cache.counts().evicted), (32, 1));
    assert!(found(&mut cache, 0) && !found(&mut cache, 1) && found(&mut cache, 2) && found(&mut cache, 32));
}

fn one_step(kind: StepKind) -> FallbackPolicy {
    let step = Step { matching: Match::default(), on: None, max_concurrent: 1, kind };
    FallbackPolicy {
        matching: Match::default(),
        on: Triggers::any(),
        cache: None,
        max_concurrent: 1,
        steps: vec![step],
    }
}

fn situation<'a>(method: &'a [u8], visited: &'a [usize]) -> Situation<'a> {
    Situation {
        trigger: Trigger::Refused(RefusalReason::BreakerOpen),
        method,
        path: b"/",
        body_kept: true,
        grpc: false,
        time_left: Some(Duration::from_secs(1)),
        visited,
    }
}

#[test]
fn a_service_is_asked_once_in_the_time_there_is_and_with_all_of_the_body() {
    let own = Some(Duration::from_millis(5));
    let policy = |timeout| one_step(StepKind::Service { target: 7, timeout });
    let at_hand = situation(b"GET", &[0]);
    assert_eq!(policy(None).judge(0, &at_hand), Verdict::Take { timeout: Some(Duration::from_secs(1)) });
    assert_eq!(policy(own).judge(0, &at_hand), Verdict::Take { timeout: own });
    let late = Situation { time_left: Some(Duration::ZERO), ..at_hand };
    assert_eq!(policy(None).judge(0, &late), Verdict::Skip(Skip::NoTime));
    assert_eq!(policy(own).judge(0, &late), Verdict::Take { timeout: own });
    let gone = Situation { body_kept: false, ..at_hand };
    assert_eq!(policy(None).judge(0, &gone), Verdict::Skip(Skip::BodyTooLarge));
    assert_eq!(policy(None).judge(0, &situation(b"GET", &[0, 7])), Verdict::Skip(Skip::Loop));
    let far: Vec<usize> = (0..=MAX_HOPS).collect();
    let one_more = situation(b"GET", &far[..MAX_HOPS]);
    assert_eq!(policy(own).judge(0, &one_more), Verdict::Take { timeout: own });
    assert_eq!(policy(None).judge(0, &situation(b"GET", &far)), Verdict::Skip(Skip::TooManyHops));
}

#[test]
fn what_was_kept_is_for_safe_methods_only_and_a_step_for_what_it_is_meant_for() {
    let mut policy = one_step(StepKind::Cached { max_age: Duration::from_secs(1) });
    for method in [&b"GET"[..], b"HEAD"] {
        assert_eq!(policy.judge(0, &situation(method, &[])), Verdict::Take { timeout: None });
    }
    assert_eq!(policy.judge(0, &situation(b"POST", &[])), Verdict::Skip(Skip::Unsafe));
    assert_eq!(
        policy.judge(1, &situation(b"GET", &[])),
        Verdict::Skip(Skip::NotMeant),
        "there is no such step"
    );
    policy.steps[0].on = Triggers::of_word("limit");
    assert_eq!(policy.judge(0, &situation(b"GET", &[])), Verdict::Skip(Skip::NotMeant));
}

#[test]
fn each_reason_to_skip_has_its_word_but_that_it_was_not_meant() {
    let reasons = [
        Skip::NotMeant,
        Skip::Unsafe,
        Skip::BodyTooLarge,
        Skip::NoTime,
        Skip::Loop,
        Skip::TooManyHops,
        Skip::NotGrpc,
    ];
    let words = [
        None,
        Some("unsafe_method"),
        Some("body_too_large"),
        Some("no_time"),
        Some("loop"),
        Some("too_many_hops"),
        Some("not_grpc"),
    ];
    assert_eq!(reasons.map(Skip::token), words);
}

#[test]
fn places_below_a_cap_are_given_and_counted_until_they_are_given_back() {
    let cap = Cap::default();
    let first = cap.try_enter(2).unwrap();
    let second = cap.try_enter(2).unwrap();
    assert_eq!(cap.taken(), 2);
    assert!(cap.try_enter(2).is_none());
    drop(first);
    assert_eq!(cap.taken(), 1);
    drop((cap.try_enter(2).unwrap(), second));
}

#[test]
fn a_cap_is_never_exceeded_by_any_number_of_threads() {
    let cap = Cap::default();
    let most = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    if let Some(permit) = cap.try_enter(3) {
                        most.fetch_max(cap.taken(), std::sync::atomic::Ordering::Relaxed);
                        drop(permit);
                    }
                }
            });
        }
    });
    assert!(most.into_inner() <= 3);
    assert_eq!(cap.taken(), 0);
    assert!(cap.try_enter(0).is_none());
}

#[test]
fn a_call_of_grpc_gets_no_good_answer_of_http() {
    let answer = |status, call: Option<CallAnswer>| {
        let (fields, body) = (Vec::new(), Template::default());
        one_step(StepKind::Static(StaticAnswer { status, fields, body, call }))
    };
    let call = CallAnswer { code: Code::Ok, text: Template::default(), message: Box::default() };
    let called = Situation { grpc: true, ..situation(b"POST", &[0]) };
    let taken = Verdict::Take { timeout: None };
    assert_eq!(answer(200, None).judge(0, &called), Verdict::Skip(Skip::NotGrpc));
    assert_eq!(answer(200, None).judge(0, &situation(b"POST", &[0])), taken);
    assert_eq!(answer(503, None).judge(0, &called), taken, "an error is one in gRPC, too");
    assert_eq!(answer(200, Some(call)).judge(0, &called), taken);
}
