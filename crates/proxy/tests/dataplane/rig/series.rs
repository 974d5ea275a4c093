//! Istio's metrics as a scrape shows them.

use std::collections::BTreeMap;

use fuseboard_admin::{AdminAddress, AdminClient};
use fuseboard_testkit::exposition::{self, Sample};

/// `response_code`, `response_flags` and `fuseboard_refused`.
pub type Ended = (String, String, String);

/// A scrape's families that begin with `istio_`.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<Sample>);

impl Series {
    /// As they are now.
    pub fn read(admin: &AdminAddress) -> Self {
        let page = AdminClient::new(admin.clone()).get("/stats/prometheus?filter=%5Eistiocustom").unwrap();
        let families = exposition::parse(&page.text()).unwrap();
        Self(families.into_iter().flat_map(|family| family.samples).collect())
    }

    /// All samples of this name.
    pub fn samples(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }

    /// A sample by how its requests ended; 0 where there is none.
    pub fn of(&self, name: &str, (code, flags, refused): (&str, &str, &str)) -> u64 {
        let ended = (code.to_owned(), flags.to_owned(), refused.to_owned());
        let found = self.samples(name).filter(|sample| how_it_ended(sample) == ended);
        found.map(|sample| whole(sample.value)).sum()
    }

    /// Requests by how they ended.
    pub fn requests(&self) -> BTreeMap<Ended, u64> {
        let samples = self.samples("istio_requests_total");
        samples.map(|sample| (how_it_ended(sample), whole(sample.value))).collect()
    }

    /// Requests since then, by how they ended.
    pub fn since(&self, before: &Self) -> BTreeMap<Ended, u64> {
        let before = before.requests();
        let grown = self.requests().into_iter().map(|(ended, count)| {
            let old = before.get(&ended).copied().unwrap_or(0);
            (ended, count - old)
        });
        grown.filter(|(_, count)| *count > 0).collect()
    }
}

fn how_it_ended(sample: &Sample) -> Ended {
    let label = |name: &str| sample.labels[name].clone();
    (label("response_code"), label("response_flags"), label("fuseboard_refused"))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are small whole numbers")]
fn whole(value: f64) -> u64 {
    value as u64
}
