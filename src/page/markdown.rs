//! A page as Markdown; figures are described in words.

use super::{Block, Figure, Page, Table};
use crate::base::text::shown;

/// Writes a page as Markdown, with tables as GitHub reads them.
#[must_use]
pub fn markdown(page: &Page) -> String {
    let mut text = format!("# {}\n\n{}\n", escaped(&page.title), escaped(&page.subtitle));
    for section in &page.sections {
        text += &format!("\n## {}\n\n", escaped(section.heading));
        blocks(&mut text, &section.blocks);
    }
    text
}

fn blocks(text: &mut String, blocks: &[Block]) {
    for (index, block) in blocks.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        self::block(text, block);
    }
}

fn block(text: &mut String, block: &Block) {
    match block {
        Block::Text(paragraph) => *text += &format!("{}\n", escaped(paragraph)),
        Block::Points(points) => {
            for (tone, point) in points {
                *text += &format!("- **{}** {}\n", tone.word(), escaped(point));
            }
        }
        Block::Numbers(numbers) => {
            for (number, name) in numbers {
                *text += &format!("- {}: **{}**\n", escaped(name), escaped(number));
            }
        }
        Block::Terms(terms) => {
            for (name, meaning) in terms {
                *text += &format!("- **{}:** {}\n", escaped(name), escaped(meaning));
            }
        }
        Block::Table(of) => table(text, of),
        Block::Figures(figures) => {
            for (index, figure) in figures.iter().enumerate() {
                if index > 0 {
                    text.push('\n');
                }
                self::figure(text, figure);
            }
        }
        Block::Picture(picture) => figure(text, picture),
        Block::Folded { summary, blocks, .. } => {
            *text += &format!("### {}\n\n", escaped(summary));
            self::blocks(text, blocks);
        }
    }
}

fn figure(text: &mut String, figure: &Figure) {
    *text += &format!("**{}** {}\n", escaped(&figure.finding), escaped(&figure.described));
}

fn table(text: &mut String, table: &Table) {
    let head = |head: &super::Head| match head.group.as_str() {
        "" => cell(&head.name),
        group => cell(&format!("{group}, {}", head.name)),
    };
    let heads: Vec<String> = table.heads.iter().map(head).collect();
    let rules: Vec<&str> = table.heads.iter().map(|head| if head.words { "---" } else { "---:" }).collect();
    *text += &format!("{}\n\n| {} |\n| {} |\n", escaped(&table.caption), heads.join(" | "), rules.join(" | "));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
        *text += &format!("| {} |\n", cells.join(" | "));
    }
}

fn cell(text: &str) -> String {
    escaped(text).replace("<br>", "; ")
}

/// Keeps letters that mean something in Markdown from meaning it, and texts on one line.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in shown(text).chars() {
        match letter {
            '\n' => out += "<br>",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '&' => out += "&amp;",
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' => out.extend(['\\', letter]),
            other => out.push(other),
        }
    }
    out
}
