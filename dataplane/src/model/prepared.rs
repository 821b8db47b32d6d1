//! What a thread keeps for the models it runs, so that a run needs no new tensors.

use std::ptr;
use std::sync::{Arc, Weak};

use crossbeam_queue::SegQueue;

use crate::canary::{ByRole, Role};
use crate::model::deployment::Serving;
use crate::model::loaded::Loaded;
use crate::model::session::Runner;
use crate::rows::answered::Prediction;
use crate::rows::blocks::Blocks;

/// Former models' tensors and, with the last of them, the models, which take long to free: whoever drains the
/// ring frees them, no request.
pub type Retired = Arc<SegQueue<Runner>>;

/// One thread's prepared tensors for the champion and the canary of its last run, which it keeps until it runs a
/// model of another deployment.
pub struct Prepared {
    /// Weak, for its models must not outlive their deployment for the sake of a thread without work.
    serving: Weak<Serving>,
    runners: ByRole<Option<Runner>>,
    retired: Retired,
}

impl Prepared {
    /// Nothing is prepared.
    pub const fn new(retired: Retired) -> Self {
        Self { serving: Weak::new(), runners: ByRole { champion: None, canary: None }, retired }
    }

    /// Run `blocks` through the model in this role; the error says what the caller is told.
    pub fn run(
        &mut self,
        serving: &Arc<Serving>,
        role: Role,
        blocks: &Blocks,
        into: &mut Prediction,
    ) -> Result<(), String> {
        if !ptr::eq(self.serving.as_ptr(), Arc::as_ptr(serving)) {
            self.change_to(serving);
        }
        let model = serving.model(role);
        let runner = match self.runners.of(role) {
            Some(runner) => runner,
            none => none.insert(model.runner()?),
        };
        let done = runner.run(blocks, into);
        if done.is_ok() {
            model.costs().saw(blocks.rows, into.cpu_ns);
        }
        done
    }

    /// Keep what is prepared for these models, in whatever role they were, and leave the rest to be freed.
    fn change_to(&mut self, serving: &Arc<Serving>) {
        let ByRole { champion, canary } = std::mem::take(&mut self.runners);
        let mut former = [champion, canary];
        let mut kept =
            |model: &Loaded| former.iter_mut().find_map(|runner| runner.take_if(|one| model.made(one)));
        self.runners.champion = kept(serving.champion());
        self.runners.canary = serving.canary().and_then(|model| kept(model));
        former.into_iter().flatten().for_each(|runner| self.retired.push(runner));
        self.serving = Arc::downgrade(serving);
    }
}
