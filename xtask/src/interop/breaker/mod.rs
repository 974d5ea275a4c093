//! The breaker's machine and resilience4j's, led through the same random courses on a virtual clock: after each event both must
//! be in the same state, with the same calls in the window. `course` says where they differ on purpose.

mod course;
mod rules;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::table::Table;
use crate::peers;
use course::Course;
use rules::{KINDS, Kind};

const DRIVER: &str = include_str!("Driver.java");
const COURSES: u64 = 100;
const STEPS: usize = 400;

pub(super) fn run(scratch: &Path, table: &mut Table) -> anyhow::Result<()> {
    let mut driver = match peers::resilience4j(DRIVER, scratch) {
        Ok(driver) => driver,
        Err(missing) => {
            table.skip("states of the breaker", missing);
            return Ok(());
        }
    };
    for kind in KINDS {
        compare(kind, &mut driver, table)?;
    }
    Ok(())
}

/// All courses of a kind: one row.
fn compare(kind: Kind, driver: &mut Command, table: &mut Table) -> anyhow::Result<()> {
    let courses: Vec<Course> = (1..=COURSES).map(|seed| course::random(kind, seed, STEPS)).collect();
    let script: String = courses.iter().map(|course| course.script.as_str()).collect();
    let said = said_to(driver, script)?;
    let theirs: Vec<&str> = said.lines().collect();
    let lines: usize = courses.iter().map(|course| course.ours.len()).sum();
    ensure!(theirs.len() == lines, "resilience4j said {} lines to {lines}", theirs.len());
    let what = format!("{}, {COURSES} courses", kind.name);
    let mut rest = theirs.as_slice();
    for (seed, course) in (1..).zip(&courses) {
        let (here, after) = rest.split_at(course.ours.len());
        rest = after;
        let differs = |(theirs, ours): (&&str, &String)| !ours.is_empty() && **theirs != **ours;
        if let Some(line) = here.iter().zip(&course.ours).position(differs) {
            let event = course.script.lines().nth(line).unwrap_or_default();
            let place = format!("seed {seed}, line {}, `{event}`", line + 1);
            table.same(format!("{what}: {place}"), here[line], &course.ours[line]);
            return Ok(());
        }
    }
    let sum = |of: fn(&Course) -> usize| courses.iter().map(of).sum::<usize>();
    let summary = format!(
        "{} states, {} × opened, {} × closed",
        sum(|course| course.ours.iter().filter(|line| !line.is_empty()).count()),
        sum(|course| course.opened as usize),
        sum(|course| course.closed as usize)
    );
    table.same(what, &summary, &summary);
    Ok(())
}

/// What the driver says to a script.
fn said_to(driver: &mut Command, script: String) -> anyhow::Result<String> {
    let pipes = driver.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().context("starting java")?;
    let mut input = child.stdin.take().context("no pipe to java")?;
    // Both pipes fill up.
    let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "the driver of resilience4j failed: {complaint}");
    writer.join().ok().context("writing to java")??;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_course_opens_and_closes_and_is_the_same_for_the_same_seed() {
        for kind in KINDS {
            let courses: Vec<Course> = (1..=20).map(|seed| course::random(kind, seed, STEPS)).collect();
            let opened: u32 = courses.iter().map(|course| course.opened).sum();
            let closed: u32 = courses.iter().map(|course| course.closed).sum();
            assert!(opened > 20 && closed > 20, "{}: {opened} {closed}", kind.name);
            assert_eq!(course::random(kind, 20, STEPS).script, courses[19].script);
        }
    }
}
