//! JUnit XML: a test case a file, as Jenkins, GitLab and most CI systems read it.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{Entry, Review, Verdict, said, slashed};
use crate::base::finding::{Finding, Severity};
use crate::base::text::shown;

/// Returns a review as a JUnit report.
///
/// # Panics
/// Never: writing to memory does not fail.
#[must_use]
pub fn junit(review: &Review) -> String {
    let mut bytes = Vec::new();
    write(review, &mut bytes).expect("memory takes everything");
    String::from_utf8(bytes).expect("made of text") + "\n"
}

fn write(review: &Review, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut writer = Writer::new_with_indent(bytes, b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let counts = [
        ("name", "planner check".to_owned()),
        ("tests", review.entries.len().to_string()),
        ("failures", review.count(Verdict::Failed).to_string()),
        ("errors", review.count(Verdict::Unusable).to_string()),
    ];
    let counts = || counts.iter().map(|(name, value)| (*name, value.as_str()));
    let suite = |writer: &mut Writer<&mut Vec<u8>>| {
        let suite = writer.create_element("testsuite").with_attributes(counts());
        suite.write_inner_content(|writer| review.entries.iter().try_for_each(|entry| case(writer, entry)))?;
        Ok(())
    };
    writer.create_element("testsuites").with_attributes(counts()).write_inner_content(suite)?;
    Ok(())
}

fn case(writer: &mut Writer<&mut Vec<u8>>, entry: &Entry) -> io::Result<()> {
    let name = shown(&slashed(&entry.file)).into_owned();
    let class = format!("planner.{}", entry.noun);
    let case =
        writer.create_element("testcase").with_attributes([("name", name.as_str()), ("classname", class.as_str())]);
    if entry.findings.is_empty() {
        case.write_empty()?;
        return Ok(());
    }
    case.write_inner_content(|writer| {
        let is_error = |finding: &&Finding| finding.severity == Severity::Error;
        let kind = if entry.verdict == Verdict::Unusable { "error" } else { "failure" };
        for finding in entry.findings.iter().filter(is_error) {
            let message = shown(&said(finding)).into_owned();
            let failure = writer.create_element(kind);
            failure
                .with_attributes([("type", finding.code.as_str()), ("message", message.as_str())])
                .write_text_content(BytesText::new(&shown(&finding.to_string())))?;
        }
        let rest: Vec<String> =
            entry.findings.iter().filter(|finding| !is_error(finding)).map(ToString::to_string).collect();
        if !rest.is_empty() {
            writer.create_element("system-out").write_text_content(BytesText::new(&shown(&rest.join("\n"))))?;
        }
        Ok(())
    })?;
    Ok(())
}
