//! The circles of a crate: modules that name each other's items, directly or through further ones.

use crate::tree::{Id, Tree};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The shortest circle through each edge that is on one, as paths of modules. The first is not repeated at the end.
pub(crate) fn circles(tree: &Tree) -> BTreeSet<Vec<&str>> {
    let edges: BTreeMap<Id, BTreeSet<Id>> = tree.ids().map(|id| (id, tree.named_by(id))).collect();
    let mut circles = BTreeSet::new();
    for (from, named) in &edges {
        for to in named {
            if let Some(mut circle) = shortest_path(&edges, *to, *from) {
                let first = (0..circle.len()).min_by_key(|place| circle[*place]);
                circle.rotate_left(first.unwrap_or_default());
                circles.insert(circle.into_iter().map(|id| tree.name(id)).collect());
            }
        }
    }
    circles
}

fn shortest_path(edges: &BTreeMap<Id, BTreeSet<Id>>, from: Id, to: Id) -> Option<Vec<Id>> {
    let mut came_from = BTreeMap::from([(from, None)]);
    let mut waiting = VecDeque::from([from]);
    while let Some(at) = waiting.pop_front() {
        if at == to {
            let mut path: Vec<Id> = std::iter::successors(Some(to), |id| came_from[id]).collect();
            path.reverse();
            return Some(path);
        }
        for next in &edges[&at] {
            if !came_from.contains_key(next) {
                came_from.insert(*next, Some(at));
                waiting.push_back(*next);
            }
        }
    }
    None
}
