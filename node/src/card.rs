//! A node's card and the file of pinned cards.
