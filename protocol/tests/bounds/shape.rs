//! The shape of a message: the parts that its decoder asks for.

use serde::de::value::{Error, U32Deserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, SeqAccess,
    VariantAccess, Visitor,
};
use std::collections::{BTreeMap, BTreeSet};

/// A piece of an encoded message.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// Bytes of a fixed number.
    Fixed(Vec<u8>),
    /// A text of `count` bytes.
    Text { name: String, count: usize },
    /// A byte string of `count` bytes.
    Bytes { name: String, count: usize },
    /// A list of `count` equal entries.
    List {
        name: String,
        entry: Vec<Node>,
        count: usize,
    },
}

/// The encoding of a shape.
pub(crate) fn bytes_of(nodes: &[Node]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for node in nodes {
        match node {
            Node::Fixed(fixed) => bytes.extend(fixed),
            Node::Text { count, .. } => counted(&mut bytes, *count, b"a"),
            Node::Bytes { count, .. } => counted(&mut bytes, *count, &[0]),
            Node::List { entry, count, .. } => counted(&mut bytes, *count, &bytes_of(entry)),
        }
    }
    bytes
}

fn counted(bytes: &mut Vec<u8>, count: usize, each: &[u8]) {
    bytes.extend((count as u64).to_le_bytes());
    bytes.extend(each.repeat(count));
}

/// The names of all counted pieces, the outer ones before the inner ones.
pub(crate) fn names(nodes: &[Node]) -> Vec<String> {
    let mut found = Vec::new();
    for node in nodes {
        match node {
            Node::Fixed(_) => {}
            Node::Text { name, .. } | Node::Bytes { name, .. } => found.push(name.clone()),
            Node::List { name, entry, .. } => {
                found.push(name.clone());
                found.extend(names(entry));
            }
        }
    }
    found
}

/// Changes the count of the piece with the name `wanted`.
pub(crate) fn resize(nodes: &mut [Node], wanted: &str, to: usize) {
    for node in nodes {
        match node {
            Node::Fixed(_) => {}
            Node::Text { name, count } | Node::Bytes { name, count } => {
                if name == wanted {
                    *count = to;
                }
            }
            Node::List { name, entry, count } => {
                if name == wanted {
                    *count = to;
                }
                resize(entry, wanted, to);
            }
        }
    }
}

/// The shapes of `T`: one for each variant of each enum in it. Each list, text and byte string has one entry.
pub(crate) fn shapes<T: DeserializeOwned>() -> Vec<Vec<Node>> {
    let mut covered = BTreeSet::new();
    let mut waiting = vec![BTreeMap::new()];
    let mut shapes = Vec::new();
    while let Some(chosen) = waiting.pop() {
        let mut walk = Walk {
            chosen,
            met: Vec::new(),
        };
        let mut nodes = Vec::new();
        let tracer = Tracer {
            walk: &mut walk,
            out: &mut nodes,
            path: String::new(),
        };
        T::deserialize(tracer).expect("a decoder accepts what it asks for");
        shapes.push(nodes);
        for (path, variants) in walk.met {
            if covered.insert(path.clone()) {
                let others = (1..variants as u32).map(|variant| {
                    let mut chosen = walk.chosen.clone();
                    chosen.insert(path.clone(), variant);
                    chosen
                });
                waiting.extend(others);
            }
        }
    }
    shapes
}

/// One walk through a decoder.
struct Walk {
    /// The chosen variant of each enum, by path. The first variant for all other enums.
    chosen: BTreeMap<String, u32>,
    /// The enums on the way, by path, each with its number of variants.
    met: Vec<(String, usize)>,
}

struct Tracer<'t> {
    walk: &'t mut Walk,
    out: &'t mut Vec<Node>,
    path: String,
}

impl<'t> Tracer<'t> {
    fn entries<'de, V: Visitor<'de>>(
        self,
        len: usize,
        name: &dyn Fn(usize) -> String,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Entries {
            walk: self.walk,
            out: self.out,
            path: &self.path,
            name,
            next: 0,
            len,
        })
    }

    fn fixed(&mut self, bytes: &[u8]) {
        self.out.push(Node::Fixed(bytes.to_vec()));
    }
}

/// The parts of a tuple, a struct or a list.
struct Entries<'t> {
    walk: &'t mut Walk,
    out: &'t mut Vec<Node>,
    path: &'t str,
    name: &'t dyn Fn(usize) -> String,
    next: usize,
    len: usize,
}

impl<'de> SeqAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.next == self.len {
            return Ok(None);
        }
        let path = format!("{}.{}", self.path, (self.name)(self.next));
        self.next += 1;
        let tracer = Tracer {
            walk: self.walk,
            out: self.out,
            path,
        };
        seed.deserialize(tracer).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.next)
    }
}

/// The chosen variant of an enum.
struct Variant<'t> {
    tracer: Tracer<'t>,
    variant: u32,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let variant: U32Deserializer<Error> = self.variant.into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.tracer)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.tracer.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.tracer.deserialize_struct("", fields, visitor)
    }
}

/// Answers with zero for every number.
macro_rules! numbers {
    ($($deserialize:ident, $visit:ident, $type:ty;)*) => {
        $(fn $deserialize<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
            let zero = <$type>::default();
            self.fixed(&zero.to_le_bytes());
            visitor.$visit(zero)
        })*
    };
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    numbers! {
        deserialize_u8, visit_u8, u8;
        deserialize_u16, visit_u16, u16;
        deserialize_u32, visit_u32, u32;
        deserialize_u64, visit_u64, u64;
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        self.fixed(&[0]);
        visitor.visit_bool(false)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let name = self.path;
        self.out.push(Node::Text { name, count: 1 });
        visitor.visit_str("a")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let name = self.path;
        self.out.push(Node::Bytes { name, count: 1 });
        visitor.visit_bytes(&[0])
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        self.fixed(&[1]);
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Tracer { walk, out, path } = self;
        let mut entry = Vec::new();
        let inner = Tracer {
            walk,
            out: &mut entry,
            path: path.clone(),
        };
        let value = inner.entries(1, &|_| "each".into(), visitor)?;
        out.push(Node::List {
            name: path,
            entry,
            count: 1,
        });
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.entries(len, &|place| place.to_string(), visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.entries(fields.len(), &|place| fields[place].to_string(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.walk.met.push((self.path.clone(), variants.len()));
        let variant = self.walk.chosen.get(&self.path).copied().unwrap_or_default();
        self.fixed(&variant.to_le_bytes());
        self.path = format!("{}.{}", self.path, variants[variant as usize]);
        visitor.visit_enum(Variant {
            tracer: self,
            variant,
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a message does not describe itself"))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char map identifier ignored_any
    }
}
