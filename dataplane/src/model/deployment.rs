//! What answers: replaced whole by one pointer, so that readers never wait and no reply mixes two models.

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};

use crate::canary::{Counts, Draw, Role};
use crate::model::loaded::Loaded;
use crate::model::prepared::Retired;
use crate::rows::blocks::Blocks;

/// The models that answer at one time.
pub struct Serving {
    champion: Arc<Loaded>,
    canary: Option<Canary>,
}

/// A model that answers a part of the calls in the champion's place.
pub struct Canary {
    /// Takes the same fields as the champion.
    pub model: Arc<Loaded>,
    /// Which calls it answers.
    pub draw: Draw,
    /// How many they were.
    pub counts: Arc<Counts>,
}

impl Canary {
    /// One that has answered nothing yet.
    pub fn new(model: Arc<Loaded>, draw: Draw) -> Self {
        Self { model, draw, counts: Arc::default() }
    }
}

impl Serving {
    /// A champion that answers what is not drawn for the canary.
    pub const fn new(champion: Arc<Loaded>, canary: Option<Canary>) -> Self {
        Self { champion, canary }
    }

    /// Who answers the call with this id and these rows.
    #[inline]
    pub fn draw(&self, request_id: &str, blocks: &Blocks) -> Role {
        let Some(canary) = &self.canary else {
            return Role::Champion;
        };
        canary.counts.called();
        if canary.draw.takes(request_id, blocks, &canary.model.info().digest) {
            Role::Canary
        } else {
            Role::Champion
        }
    }

    /// The champion, whose fields every call brings.
    pub const fn champion(&self) -> &Arc<Loaded> {
        &self.champion
    }

    /// The canary, if there is one.
    pub fn canary(&self) -> Option<&Arc<Loaded>> {
        self.canary.as_ref().map(|canary| &canary.model)
    }

    /// What is counted of the canary's calls.
    pub fn canary_counts(&self) -> Option<&Arc<Counts>> {
        self.canary.as_ref().map(|canary| &canary.counts)
    }

    /// Count on where `former` had the same canary with the same share.
    fn go_on_counting(&mut self, former: &Self) {
        if let (Some(now), Some(before)) = (&mut self.canary, &former.canary)
            && Arc::ptr_eq(&now.model, &before.model)
            && now.draw == before.draw
        {
            now.counts = Arc::clone(&before.counts);
        }
    }

    /// The model in this role; the champion where there is no canary.
    #[inline]
    pub fn model(&self, role: Role) -> &Arc<Loaded> {
        match (role, &self.canary) {
            (Role::Canary, Some(canary)) => &canary.model,
            _ => &self.champion,
        }
    }
}

/// The pointer to what answers.
#[derive(Default)]
pub struct Deployment {
    serving: ArcSwapOption<Serving>,
    retired: Retired,
}

impl Deployment {
    /// Replace the models; calls that have begun finish with those they took.
    pub fn swap(&self, mut serving: Option<Serving>) {
        if let (Some(serving), Some(former)) = (&mut serving, self.serving.load().as_deref()) {
            serving.go_on_counting(former);
        }
        self.serving.store(serving.map(Arc::new));
    }

    /// The models now, for one call.
    pub fn get(&self) -> Guard<Option<Arc<Serving>>> {
        self.serving.load()
    }

    /// The model with this digest, where it answers now.
    pub fn loaded(&self, digest: &str) -> Option<Arc<Loaded>> {
        let serving = self.serving.load();
        let serving = serving.as_ref()?;
        let models = [Some(serving.champion()), serving.canary()];
        models.into_iter().flatten().find(|model| model.info().digest == digest).map(Arc::clone)
    }

    /// Where threads leave what they prepared for a former model.
    pub fn retired(&self) -> Retired {
        Arc::clone(&self.retired)
    }

    /// Free what threads have left.
    pub fn free_retired(&self) {
        while self.retired.pop().is_some() {}
    }
}
