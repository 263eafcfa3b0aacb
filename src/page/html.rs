//! A page as HTML that needs nothing else: no network, no scripts, light and dark, phone and paper.

use std::fmt::Write;

use super::svg::escaped;
use super::{Block, Figure, Page, Section, Table, Tone};

/// Colours, letters and how things make room for each other.
const STYLE: &str = include_str!("style.css");

/// Writes a page as HTML.
#[must_use]
pub fn html(page: &Page) -> String {
    let mut body = format!("<header><h1>{}</h1><p>{}</p></header>\n", escaped(&page.title), escaped(&page.subtitle));
    body += &contents(&page.sections);
    body += "<main>\n";
    for section in &page.sections {
        let _ = writeln!(body, "<section id=\"{0}\"><h2>{1}</h2>", section.id, escaped(section.heading));
        blocks(&mut body, &section.blocks);
        body += "</section>\n";
    }
    body += "</main>\n";
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/>\
         <title>{}</title>\n<style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n",
        escaped(&page.title)
    )
}

fn contents(sections: &[Section]) -> String {
    let link = |section: &Section| format!("<a href=\"#{}\">{}</a>", section.id, escaped(section.heading));
    let links: Vec<String> = sections.iter().map(link).collect();
    format!("<nav aria-label=\"Contents\">{}</nav>\n", links.join(" "))
}

fn blocks(html: &mut String, blocks: &[Block]) {
    for block in blocks {
        self::block(html, block);
    }
}

fn block(html: &mut String, block: &Block) {
    match block {
        Block::Text(text) => {
            let _ = writeln!(html, "<p>{}</p>", escaped(text));
        }
        Block::Points(points) => {
            *html += "<ul class=\"points\">\n";
            for (tone, text) in points {
                let class = class(*tone);
                let _ = writeln!(html, "<li class=\"{class}\"><b>{}</b> {}</li>", tone.word(), escaped(text));
            }
            *html += "</ul>\n";
        }
        Block::Numbers(numbers) => {
            *html += "<dl class=\"numbers\">\n";
            for (number, name) in numbers {
                let _ = writeln!(html, "<div><dt>{}</dt><dd>{}</dd></div>", escaped(name), escaped(number));
            }
            *html += "</dl>\n";
        }
        Block::Terms(terms) => {
            *html += "<dl class=\"terms\">\n";
            for (name, text) in terms {
                let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(text));
            }
            *html += "</dl>\n";
        }
        Block::Table(of) => table(html, of),
        Block::Figures(figures) => {
            *html += "<div class=\"figures\">\n";
            figures.iter().for_each(|of| figure(html, of));
            *html += "</div>\n";
        }
        Block::Picture(picture) => {
            let _ = writeln!(html, "<div class=\"picture\">{}</div>", picture.svg);
        }
        Block::Folded { summary, open, blocks } => {
            let open = if *open { " open=\"open\"" } else { "" };
            let _ = writeln!(html, "<details{open}><summary>{}</summary>", escaped(summary));
            self::blocks(html, blocks);
            *html += "</details>\n";
        }
    }
}

const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Note => "note",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
    }
}

fn figure(html: &mut String, figure: &Figure) {
    let _ = write!(html, "<figure><figcaption>{}</figcaption>{}", escaped(&figure.finding), figure.svg);
    if !figure.note.is_empty() {
        let _ = write!(html, "<p class=\"small\">{}</p>", escaped(&figure.note));
    }
    *html += "</figure>\n";
}

/// Wide tables scroll in a box of their own, which the keyboard can reach; what they are called stands above it in full.
fn table(html: &mut String, table: &Table) {
    let caption = escaped(&table.caption);
    let _ = write!(
        html,
        "<p class=\"caption\" aria-hidden=\"true\">{caption}</p>\n<div class=\"wide\" role=\"region\" tabindex=\"0\" \
         aria-label=\"{caption}\"><table><caption>{caption}</caption>\n<thead>"
    );
    heads(html, table);
    *html += "</thead>\n<tbody>\n";
    for row in &table.rows {
        *html += "<tr>";
        for (index, (head, cell)) in table.heads.iter().zip(row).enumerate() {
            let class = if head.words { " class=\"words\"" } else { "" };
            let cell = escaped(cell).replace('\n', "<br/>");
            let _ = match index {
                0 => write!(html, "<th scope=\"row\"{class}>{cell}</th>"),
                _ => write!(html, "<td{class}>{cell}</td>"),
            };
        }
        *html += "</tr>\n";
    }
    *html += "</tbody></table></div>\n";
}

/// Writes the heads of a table, with a row of groups above them where there are any.
fn heads(html: &mut String, table: &Table) {
    if table.heads.iter().any(|head| !head.group.is_empty()) {
        *html += "<tr>";
        for run in table.heads.chunk_by(|a, b| a.group == b.group) {
            let group = escaped(&run[0].group);
            let _ = match group.is_empty() {
                true => write!(html, "<td colspan=\"{}\"></td>", run.len()),
                false => write!(html, "<th scope=\"colgroup\" class=\"group\" colspan=\"{}\">{group}</th>", run.len()),
            };
        }
        *html += "</tr>\n";
    }
    *html += "<tr>";
    for head in &table.heads {
        let class = if head.words { " class=\"words\"" } else { "" };
        let _ = write!(html, "<th scope=\"col\"{class}>{}</th>", escaped(&head.name));
    }
    *html += "</tr>";
}
