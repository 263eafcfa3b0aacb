//! Where long work reports its steps.

/// Where long work reports its steps; by default nowhere.
#[derive(Clone, Copy, Default)]
pub struct Watch<'a>(Option<&'a (dyn Fn(&str) + Sync)>);

impl<'a> Watch<'a> {
    /// Has each step told in a few words.
    #[must_use]
    pub fn new(tell: &'a (dyn Fn(&str) + Sync)) -> Self {
        Self(Some(tell))
    }

    /// Tells what begins now.
    pub(crate) fn tell(self, step: impl FnOnce() -> String) {
        if let Some(tell) = self.0 {
            tell(&step());
        }
    }
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Watch(some)" } else { "Watch(none)" })
    }
}
