//! The modules of one crate and what each of them names, read from its sources.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use syn::{Attribute, Item, ItemMacro, ItemMod, UseTree};

/// How many imports are followed from a name to its definition.
const MAX_IMPORTS: usize = 8;

/// A module of the crate, by its place in [`Tree::modules`].
pub(crate) type Id = usize;

const ROOT: Id = 0;

#[derive(Default)]
struct Module {
    name: String,
    parent: Id,
    children: BTreeMap<String, Id>,
    items: BTreeSet<String>,
    /// The names that `use` brings in, each with the path that it stands for.
    imports: BTreeMap<String, Vec<String>>,
    /// The paths of `use path::*`.
    globs: Vec<Vec<String>>,
    /// Every other path that the module names.
    paths: BTreeSet<Vec<String>>,
}

/// All modules of one crate, except those that are compiled only for its tests.
pub(crate) struct Tree {
    modules: Vec<Module>,
}

/// What a path stands for.
enum Found {
    Module(Id),
    /// An item, with the module that defines it.
    Item(Id),
}

impl Tree {
    /// Reads a crate, beginning at its root file.
    pub(crate) fn read(root: &Path) -> Self {
        Self::of(parse(root), root.parent().expect("a directory"))
    }

    /// Reads a crate that is one text, with its modules inline.
    pub(crate) fn parse(text: &str) -> Self {
        let file = syn::parse_file(text).expect("a source");
        Self::of(file.items, Path::new(""))
    }

    fn of(items: Vec<Item>, dir: &Path) -> Self {
        let root = Module {
            name: "crate".to_owned(),
            ..Module::default()
        };
        let mut tree = Self { modules: vec![root] };
        tree.fill(ROOT, items, dir);
        tree
    }

    pub(crate) fn ids(&self) -> std::ops::Range<Id> {
        0..self.modules.len()
    }

    /// The module's path from the crate's root.
    pub(crate) fn name(&self, id: Id) -> &str {
        &self.modules[id].name
    }

    /// The other modules that define what this one names.
    pub(crate) fn named_by(&self, id: Id) -> BTreeSet<Id> {
        let module = &self.modules[id];
        let paths = module.paths.iter().chain(module.imports.values());
        let found = paths
            .chain(&module.globs)
            .filter_map(|path| self.find(id, path, MAX_IMPORTS));
        found
            .map(|found| match found {
                Found::Module(module) | Found::Item(module) => module,
            })
            .filter(|module| *module != id)
            .collect()
    }

    fn fill(&mut self, id: Id, items: Vec<Item>, dir: &Path) {
        for item in items {
            match item {
                Item::Mod(child) => self.add_module(id, child, dir),
                Item::Use(item) => self.modules[id].import(&item.tree, &mut Vec::new()),
                item => {
                    if let Item::Macro(item) = &item {
                        self.export(id, item);
                    }
                    let module = &mut self.modules[id];
                    module.items.extend(item_name(&item));
                    add_paths(item.into_token_stream(), &mut module.paths);
                }
            }
        }
    }

    /// A macro with `#[macro_export]` is named from the crate's root and defined in its module.
    fn export(&mut self, id: Id, item: &ItemMacro) {
        let (Some(name), true) = (&item.ident, item.attrs.iter().any(is_macro_export)) else {
            return;
        };
        if id != ROOT {
            let path = format!("crate::{}::{name}", self.name(id));
            let path = path.split("::").map(str::to_owned).collect();
            self.modules[ROOT].imports.insert(name.to_string(), path);
        }
    }

    fn add_module(&mut self, parent: Id, item: ItemMod, dir: &Path) {
        if item.attrs.iter().any(is_test) {
            return;
        }
        let name = item.ident.to_string();
        let items = match item.content {
            Some((_, items)) => items,
            None => parse(&file_of(dir, &name)),
        };
        let id = self.modules.len();
        let path = match parent {
            ROOT => name.clone(),
            parent => format!("{}::{name}", self.name(parent)),
        };
        self.modules.push(Module {
            name: path,
            parent,
            ..Module::default()
        });
        self.modules[parent].children.insert(name.clone(), id);
        self.fill(id, items, &dir.join(name));
    }

    /// What a path stands for in a module. Nothing, if that is not of this crate.
    fn find(&self, from: Id, path: &[String], imports_left: usize) -> Option<Found> {
        let mut at = from;
        for (place, name) in path.iter().enumerate() {
            match self.look_up(at, name, imports_left) {
                Some(Found::Module(module)) => at = module,
                Some(item) => return Some(item),
                None if place == 0 => return None,
                // The module has no such item in its source, so a macro makes it.
                None => return Some(Found::Item(at)),
            }
        }
        Some(Found::Module(at))
    }

    fn look_up(&self, at: Id, name: &str, imports_left: usize) -> Option<Found> {
        let module = &self.modules[at];
        match name {
            "crate" => return Some(Found::Module(ROOT)),
            "self" => return Some(Found::Module(at)),
            "super" => return Some(Found::Module(module.parent)),
            _ => {}
        }
        if let Some(child) = module.children.get(name) {
            return Some(Found::Module(*child));
        }
        if module.items.contains(name) {
            return Some(Found::Item(at));
        }
        let imports_left = imports_left.checked_sub(1)?;
        if let Some(path) = module.imports.get(name) {
            return self.find(at, path, imports_left);
        }
        let globs = module.globs.iter();
        globs
            .filter_map(|path| self.find(at, path, imports_left))
            .find_map(|found| match found {
                Found::Module(module) if module != at => self.look_up(module, name, imports_left),
                _ => None,
            })
    }
}

impl Module {
    fn import(&mut self, tree: &UseTree, path: &mut Vec<String>) {
        let depth = path.len();
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.import(&tree.tree, path);
            }
            UseTree::Name(tree) => {
                // `use path::{self}` brings in the last name of the path.
                if tree.ident != "self" {
                    path.push(tree.ident.to_string());
                }
                self.imports
                    .extend(path.last().map(|name| (name.clone(), path.clone())));
            }
            UseTree::Rename(tree) => {
                if tree.ident != "self" {
                    path.push(tree.ident.to_string());
                }
                // Any number of traits can be imported as `_`.
                match tree.rename.to_string() {
                    name if name == "_" => self.paths.extend([path.clone()]),
                    name => self.imports.extend([(name, path.clone())]),
                }
            }
            UseTree::Glob(_) => self.globs.push(path.clone()),
            UseTree::Group(tree) => tree.items.iter().for_each(|tree| self.import(tree, path)),
        }
        path.truncate(depth);
    }
}

/// Adds all paths of several names that a piece of source contains: also in bodies, macros, and attributes of serde.
fn add_paths(tokens: TokenStream, paths: &mut BTreeSet<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    for token in tokens {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                colons += 1;
                continue;
            }
            TokenTree::Ident(name) if colons == 2 && !path.is_empty() => path.push(name.to_string()),
            other => {
                end_path(&mut path, paths);
                match other {
                    // After colons without a name before them: `<Type as Trait>::Name`, or another crate's `::name`.
                    TokenTree::Ident(_) if colons == 2 => {}
                    TokenTree::Ident(name) => path.push(name.to_string()),
                    TokenTree::Group(group) => add_paths(group.stream(), paths),
                    TokenTree::Literal(literal) => add_quoted(&literal.to_string(), paths),
                    TokenTree::Punct(_) => {}
                }
            }
        }
        colons = 0;
    }
    end_path(&mut path, paths);
}

fn end_path(path: &mut Vec<String>, paths: &mut BTreeSet<Vec<String>>) {
    let path = std::mem::take(path);
    if path.len() > 1 {
        paths.insert(path);
    }
}

/// A path in quotes, as `#[serde(with = "crate::module")]` has it.
fn add_quoted(literal: &str, paths: &mut BTreeSet<Vec<String>>) {
    let Some(text) = literal.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return;
    };
    let path: Vec<String> = text.split("::").map(str::to_owned).collect();
    let is_name =
        |name: &String| syn::parse_str::<syn::Ident>(name).is_ok() || name == "crate" || name == "super";
    if path.len() > 1 && path.iter().all(is_name) {
        paths.insert(path);
    }
}

fn item_name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

fn is_test(attribute: &Attribute) -> bool {
    let text = attribute.to_token_stream().to_string();
    text.replace(' ', "") == "#[cfg(test)]"
}

fn is_macro_export(attribute: &Attribute) -> bool {
    attribute.path().is_ident("macro_export")
}

fn file_of(dir: &Path, module: &str) -> PathBuf {
    let file = dir.join(format!("{module}.rs"));
    if file.exists() {
        file
    } else {
        dir.join(module).join("mod.rs")
    }
}

fn parse(path: &Path) -> Vec<Item> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.items
}
