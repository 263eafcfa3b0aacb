//! A plan for people who review it: one page of plain data, written as HTML that needs nothing else, or as Markdown.
//!
//! ```text
//! Plan, Problem, Facts ──┐
//! simulated  ── Trials ──┼──▶ Page: sections of sentences, tables and figures ──▶ html, markdown
//! replayed   ── Trials ──┘
//! ```
//!
//! Each section has a file of its own; the renderers know nothing of plans. What cannot be recomputed,
//! because facts or a problem are missing, is said on the page and stops nothing. The same input gives the same bytes.

mod certificate;
mod claims;
mod figures;
mod formatting;
mod frontier;
mod gears;
mod html;
mod markdown;
mod placement;
pub mod plot;
mod problem;
mod risks;
mod summary;
mod svg;
mod trials;
mod walk;

use crate::facts::Facts;
use crate::plan::Plan;
use crate::problem::Problem;

pub use html::html;
pub use markdown::markdown;
pub use trials::{Seen, Trials, try_gears};

/// Everything that a page is written from.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The plan; it must have been validated.
    pub plan: &'a Plan,
    /// The problem, where the plan contains it.
    pub problem: Option<&'a Problem>,
    /// What was measured, or why they are unknown.
    pub facts: Result<&'a Facts, &'a str>,
    /// What a simulation saw, or why there is none.
    pub simulated: Result<&'a Trials, &'a str>,
    /// What a replay saw.
    pub replayed: Option<&'a Trials>,
}

/// A page: sections under a title.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The title.
    pub title: String,
    /// One line under the title.
    pub subtitle: String,
    /// What it says, in order.
    pub sections: Vec<Section>,
}

/// Blocks under a heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Name for links, unique on the page.
    pub id: &'static str,
    /// The heading.
    pub heading: &'static str,
    /// What stands under it.
    pub blocks: Vec<Block>,
}

/// A part of a section.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A list of points, each with how much it matters.
    Points(Vec<(Tone, String)>),
    /// The few numbers that a reader looks for first: a number and what it is.
    Numbers(Vec<(String, String)>),
    /// Names and what they stand for.
    Terms(Vec<(String, String)>),
    /// A table.
    Table(Table),
    /// Figures that stand beside each other where there is room.
    Figures(Vec<Figure>),
    /// A picture as wide as the page, which holds its own title and colours.
    Picture(Figure),
    /// Blocks that are shown when asked for.
    Folded {
        /// What is always shown.
        summary: String,
        /// Whether it begins unfolded.
        open: bool,
        /// What is folded away.
        blocks: Vec<Block>,
    },
}

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Nothing to worry about.
    Good,
    /// Worth knowing.
    Note,
    /// Worth a look.
    Warning,
    /// Something is wrong.
    Bad,
}

impl Tone {
    /// Returns the tone in a word, for those who see no colours.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Bad => "problem",
        }
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The columns.
    pub heads: Vec<Head>,
    /// One text a column, for each row.
    pub rows: Vec<Vec<String>>,
}

/// The head of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What it shares with its neighbours of the same group; empty where it stands alone.
    pub group: String,
    /// Its name and unit.
    pub name: String,
    /// Whether it holds words rather than numbers.
    pub words: bool,
}

impl Head {
    /// Returns the head of a column of numbers.
    #[must_use]
    pub fn number(name: impl Into<String>) -> Self {
        Self { group: String::new(), name: name.into(), words: false }
    }

    /// Returns the head of a column of words.
    #[must_use]
    pub fn words(name: impl Into<String>) -> Self {
        Self { words: true, ..Self::number(name) }
    }
}

/// A picture with what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it says, in a sentence.
    pub finding: String,
    /// What a reader must know to read it; may be empty.
    pub note: String,
    /// What it shows, for those who do not see it.
    pub described: String,
    /// The picture; its colours are classes of the page.
    pub svg: String,
}

/// Writes the page of a plan.
#[must_use]
pub fn page(given: &Given<'_>) -> Page {
    let section = |id, heading, blocks| Section { id, heading, blocks };
    let explained = gears::Explained::of(given);
    Page {
        title: format!("Plan {}", given.plan.name),
        subtitle: summary::subtitle(given),
        sections: vec![
            section("summary", "Summary", summary::blocks(given)),
            section("problem", "Problem", problem::blocks(given)),
            section("load", "Performance over load", figures::blocks(given)),
            section("gears", "Gears", gears::blocks(given, &explained)),
            section("placement", "Placement", placement::blocks(given)),
            section("path", "Request path", walk::blocks(given)),
            section("frontier", "Alternatives", frontier::blocks(given)),
            section("claims", "Claims and trials", claims::blocks(given)),
            section("certificate", "Certificate", certificate::blocks(given)),
            section("risks", "Risks", risks::blocks(given)),
        ],
    }
}

/// Returns a block of one paragraph.
fn text(text: impl Into<String>) -> Block {
    Block::Text(text.into())
}
