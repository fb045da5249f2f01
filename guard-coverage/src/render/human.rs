//! Pages for people, each with its code.

use std::io;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{HELP, slashed, title};
use crate::{Colour, Finding, Report};

pub(super) fn write(report: &Report, colour: Colour, out: &mut dyn io::Write) -> io::Result<()> {
    let renderer = match colour {
        Colour::Ansi => Renderer::styled(),
        Colour::Plain => Renderer::plain(),
    };
    for finding in &report.findings {
        writeln!(out, "{}\n", page(&renderer, finding))?;
    }
    for stray in &report.stray {
        let place = format!("{}:{}", slashed(&stray.file), stray.line);
        let title = Level::WARNING.primary_title(format!("{place}: {}", stray.flaw));
        writeln!(out, "{}\n", renderer.render(&[Group::with_title(title)]))?;
    }
    if !report.allowed.is_empty() {
        writeln!(out, "allowed by comments:")?;
        for allowed in &report.allowed {
            let finding = &allowed.finding;
            let place = format!("{}:{}", slashed(&finding.file), finding.line);
            writeln!(out, "  {place}: {}: {}", title(finding), allowed.reason)?;
        }
        writeln!(out)?;
    }
    if !report.skipped.is_empty() {
        writeln!(out, "skipped:")?;
        for skipped in &report.skipped {
            let line = skipped.line.map_or_else(String::new, |line| format!(":{line}"));
            writeln!(out, "  {}{line}: {}", slashed(&skipped.file), skipped.reason)?;
        }
        writeln!(out)?;
    }
    writeln!(out, "{}", summary(report))
}

fn page(renderer: &Renderer, finding: &Finding) -> String {
    let frame = &finding.frame;
    let path = slashed(&finding.file);
    let primary =
        AnnotationKind::Primary.span(frame.marked.clone()).label("can be reached without the guard");
    let call = frame.call.clone().map(|call| AnnotationKind::Context.span(call).label("sent here"));
    let snippet = Snippet::source(&*frame.source)
        .line_start(frame.first_line)
        .path(&path)
        .annotation(primary)
        .annotations(call);
    let mut group = Level::ERROR
        .primary_title(format!("unguarded {}", title(finding)))
        .id(finding.kind.name())
        .element(snippet);
    if let Some(text) = &finding.text {
        let note = format!("`{}` is written at {}:{}", finding.statement, slashed(&text.file), text.line);
        group = group.element(Level::NOTE.message(note));
    }
    if let Some(function) = &finding.function {
        group = group.element(Level::NOTE.message(format!("in `{function}`, by `{}`", finding.call)));
    }
    renderer.render(&[group.element(Level::HELP.message(HELP))])
}

fn summary(report: &Report) -> String {
    let read = format!("{} files, {} lines", report.files, report.lines);
    let others = [
        (report.allowed.len(), "allowed"),
        (report.stray.len(), "comments to mend"),
        (report.skipped.len(), "skipped"),
    ];
    let others =
        others.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("; {count} {what}"));
    let others: String = others.collect();
    match report.findings.len() {
        0 => format!("no unguarded destructive statement in {read}{others}"),
        1 => format!("1 unguarded destructive statement in {read}{others}"),
        count => format!("{count} unguarded destructive statements in {read}{others}"),
    }
}
