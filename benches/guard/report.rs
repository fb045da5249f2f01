//! What is printed, and what is written down.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::cluster::Result;
use crate::sides::Measured;

/// All comparisons of one run.
pub(crate) struct Report {
    sections: Vec<Section>,
    bars: Vec<Bar>,
    began: Conditions,
}

struct Section {
    title: String,
    rows: Vec<Row>,
}

struct Row {
    case: String,
    sides: Vec<Measured>,
}

/// What was aimed at, and what was measured.
struct Bar {
    aim: String,
    measured: String,
    met: bool,
}

/// What else the machine did.
struct Conditions {
    time: SystemTime,
    load: String,
}

impl Conditions {
    fn now() -> Self {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self { time: SystemTime::now(), load: load.split(' ').next().unwrap_or("unknown").to_owned() }
    }
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { sections: Vec::new(), bars: Vec::new(), began: Conditions::now() }
    }

    pub(crate) fn section(&mut self, title: impl Into<String>) {
        let title = title.into();
        println!("\n{title}");
        self.sections.push(Section { title, rows: Vec::new() });
    }

    /// The first side is what the others are compared with.
    pub(crate) fn row(&mut self, case: impl Into<String>, sides: &[Measured]) {
        let row = Row { case: case.into(), sides: sides.to_vec() };
        for line in row.lines() {
            println!("  {}", line.join(" | "));
        }
        self.sections.last_mut().expect("a section").rows.push(row);
    }

    pub(crate) fn bar(&mut self, aim: impl Into<String>, measured: String, met: bool) {
        let aim = aim.into();
        println!("  {}: {aim}: {measured}", if met { "met" } else { "MISSED" });
        self.bars.push(Bar { aim, measured, met });
    }

    /// At most so many times as long.
    pub(crate) fn at_most_times(
        &mut self,
        aim: impl Into<String>,
        side: &Measured,
        of: &Measured,
        limit: f64,
    ) {
        let found = ratio(side.median(), of.median());
        self.bar(
            aim,
            format!("{} × ({} against {})", times(found), ms(side.median()), ms(of.median())),
            found <= limit,
        );
    }

    /// At most so much longer.
    pub(crate) fn at_most_longer(
        &mut self,
        aim: impl Into<String>,
        side: &Measured,
        than: &Measured,
        limit: Duration,
    ) {
        let found = side.median().saturating_sub(than.median());
        self.bar(
            aim,
            format!("+ {} ({} against {})", ms(found), ms(side.median()), ms(than.median())),
            found <= limit,
        );
    }

    pub(crate) fn write(&self, directory: &Path, server: &str, rounds: &str) -> Result<()> {
        let mut text = String::from("# Benchmarks\n\n");
        let ended = Conditions::now();
        writeln!(
            text,
            "Written by `cargo bench --bench guard`. Sides of a row were measured in turns, in one run; each figure is a \
             median, with the 95th percentile behind it. Compare ratios: the times are this machine's.\n"
        )?;
        writeln!(text, "| | |\n| --- | --- |")?;
        for (name, value) in [
            ("date", humantime::format_rfc3339_seconds(self.began.time).to_string()),
            ("took", format!("{} s", ended.time.duration_since(self.began.time)?.as_secs())),
            ("load when it began and ended", format!("{} and {}", self.began.load, ended.load)),
            ("processor", processor()),
            ("kernel", output("uname", &["-sr"])),
            ("server", server.to_owned()),
            ("compiler", output("rustc", &["--version"])),
            ("rounds", rounds.to_owned()),
        ] {
            writeln!(text, "| {name} | {value} |")?;
        }
        writeln!(text, "\n## What is aimed at\n\n| aim | measured | |\n| --- | --- | --- |")?;
        for bar in &self.bars {
            let met = if bar.met { "met" } else { "**missed**" };
            writeln!(text, "| {} | {} | {met} |", bar.aim, bar.measured)?;
        }
        text += include_str!("notes.md");
        for section in &self.sections {
            writeln!(text, "\n## {}\n\n| case | side | median | p95 | ratio | difference |", section.title)?;
            writeln!(text, "| --- | --- | ---: | ---: | ---: | ---: |")?;
            for line in section.rows.iter().flat_map(Row::lines) {
                writeln!(text, "| {} |", line.join(" | "))?;
            }
        }
        writeln!(
            text,
            "\n![What the guard adds, by tables in the database and by callers](benches/scale.svg)"
        )?;
        fs::write(directory.join("BENCHMARKS.md"), text)?;
        Ok(())
    }
}

impl Row {
    fn lines(&self) -> impl Iterator<Item = [String; 6]> {
        let base = self.sides[0].median();
        self.sides.iter().enumerate().map(move |(number, side)| {
            let median = side.median();
            let (ratio, difference) = if number == 0 {
                (String::new(), String::new())
            } else {
                let sign = if median < base { "-" } else { "+" };
                (times(ratio(median, base)), format!("{sign}{}", ms(median.abs_diff(base))))
            };
            let case = if number == 0 { self.case.clone() } else { String::new() };
            [case, side.name.to_owned(), ms(median), ms(side.p95()), ratio, difference]
        })
    }
}

pub(crate) fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn times(ratio: f64) -> String {
    if ratio < 0.1 { format!("1/{:.0}", 1.0 / ratio) } else { format!("{ratio:.2}") }
}

pub(crate) fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, model)| model));
    let cores = std::thread::available_parallelism().map_or(0, Into::into);
    format!("{} × {}", cores, model.unwrap_or("unknown"))
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
