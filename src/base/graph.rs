//! The order of stages: a series-parallel tree, so that what stages take combines by two rules only.

/// Returns for each stage, given by its name and the names that it waits for, the indices of those: the stage before it in
/// the list where it names none.
///
/// # Panics
/// Where nothing was validated and a name is unknown.
pub(crate) fn predecessors(stages: &[(&str, &[String])]) -> Vec<Vec<usize>> {
    let named = |name: &String| {
        stages.iter().position(|(other, _)| *other == name).expect("validation knows every stage in `after`")
    };
    let of_stage = |(index, (_, after)): (usize, &(&str, &[String]))| match (after.is_empty(), index) {
        (true, 0) => Vec::new(),
        (true, _) => vec![index - 1],
        (false, _) => after.iter().map(named).collect(),
    };
    stages.iter().enumerate().map(of_stage).collect()
}

/// Stages that follow each other, and stages that go on side by side until the last of them is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeriesParallel {
    /// One stage, by index.
    Stage(usize),
    /// One after the other.
    Series(Vec<Self>),
    /// All begin together; what follows waits for the last.
    Parallel(Vec<Self>),
}

impl SeriesParallel {
    /// Returns a chain of so many stages.
    #[must_use]
    pub fn chain(stages: usize) -> Self {
        Self::Series((0..stages).map(Self::Stage).collect())
    }

    /// Returns the tree of a graph, each stage with those that it waits for, or `None` where the graph is not
    /// series-parallel or has a circle.
    #[must_use]
    pub fn from_predecessors(after: &[Vec<usize>]) -> Option<Self> {
        let count = after.len();
        // before[a][b]: a is done before b begins.
        let mut before = vec![vec![false; count]; count];
        for (stage, waits_for) in after.iter().enumerate() {
            for &earlier in waits_for {
                before[earlier][stage] = true;
            }
        }
        for middle in 0..count {
            for from in 0..count {
                for to in 0..count {
                    before[from][to] |= before[from][middle] && before[middle][to];
                }
            }
        }
        if (0..count).any(|stage| before[stage][stage]) {
            return None;
        }
        // By the number of earlier stages: an order in which nothing comes before what it waits for.
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|&stage| (0..count).filter(|&earlier| before[earlier][stage]).count());
        tree(&order, &before)
    }

    /// Returns what the walk comes to, from what each stage comes to and two rules: one after the other, and side by side.
    pub fn fold<T>(&self, of: &impl Fn(usize) -> T, then: fn(&T, &T) -> T, beside: fn(&T, &T) -> T) -> T {
        let all = |parts: &[Self], join: fn(&T, &T) -> T| {
            let mut parts = parts.iter().map(|part| part.fold(of, then, beside));
            let first = parts.next().expect("a walk has a stage");
            parts.fold(first, |sum, next| join(&sum, &next))
        };
        match self {
            Self::Stage(stage) => of(*stage),
            Self::Series(parts) => all(parts, then),
            Self::Parallel(parts) => all(parts, beside),
        }
    }

    /// Tells whether nothing goes on side by side.
    #[must_use]
    pub fn is_chain(&self) -> bool {
        match self {
            Self::Stage(_) => true,
            Self::Series(parts) => parts.iter().all(Self::is_chain),
            Self::Parallel(_) => false,
        }
    }
}

fn tree(order: &[usize], before: &[Vec<bool>]) -> Option<SeriesParallel> {
    if let [stage] = order {
        return Some(SeriesParallel::Stage(*stage));
    }
    let parts = components(order, before);
    if parts.len() > 1 {
        return parts.iter().map(|part| tree(part, before)).collect::<Option<Vec<_>>>().map(SeriesParallel::Parallel);
    }
    // A cut is where everything so far is done before anything that follows begins.
    let is_cut =
        |&place: &usize| order[..place].iter().all(|&early| order[place..].iter().all(|&late| before[early][late]));
    let mut cuts: Vec<usize> = (1..order.len()).filter(is_cut).collect();
    if cuts.is_empty() {
        return None;
    }
    cuts.insert(0, 0);
    cuts.push(order.len());
    let parts = cuts.windows(2).map(|ends| tree(&order[ends[0]..ends[1]], before));
    parts.collect::<Option<Vec<_>>>().map(SeriesParallel::Series)
}

/// Splits stages into groups that have nothing to do with each other, keeping their order.
fn components(order: &[usize], before: &[Vec<bool>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &stage in order {
        let touches = |group: &Vec<usize>| group.iter().any(|&other| before[other][stage] || before[stage][other]);
        let (mut joined, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(touches);
        let mut own: Vec<usize> = joined.drain(..).flatten().collect();
        own.push(stage);
        own.sort_by_key(|stage| order.iter().position(|other| other == stage));
        groups = others;
        groups.push(own);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::SeriesParallel::{self, Parallel, Series, Stage};

    #[test]
    fn graphs_become_trees() {
        assert_eq!(SeriesParallel::from_predecessors(&[vec![], vec![0], vec![1]]), Some(SeriesParallel::chain(3)));
        // Detect, then classify and read side by side, then join.
        let diamond = SeriesParallel::from_predecessors(&[vec![], vec![0], vec![0], vec![1, 2]]);
        assert_eq!(diamond, Some(Series(vec![Stage(0), Parallel(vec![Stage(1), Stage(2)]), Stage(3)])));
        // An edge that the others imply changes nothing.
        assert_eq!(SeriesParallel::from_predecessors(&[vec![], vec![0], vec![0, 1]]), Some(SeriesParallel::chain(3)));
        let two = SeriesParallel::from_predecessors(&[vec![], vec![], vec![0], vec![1]]);
        assert_eq!(two, Some(Parallel(vec![Series(vec![Stage(0), Stage(2)]), Series(vec![Stage(1), Stage(3)])])));
    }

    #[test]
    fn a_bridge_between_branches_and_a_circle_are_no_trees() {
        assert_eq!(SeriesParallel::from_predecessors(&[vec![], vec![], vec![0], vec![0, 1]]), None);
        assert_eq!(SeriesParallel::from_predecessors(&[vec![1], vec![0]]), None);
    }
}
