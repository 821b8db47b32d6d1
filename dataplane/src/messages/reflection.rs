//! `grpc.reflection.v1alpha`: what the services look like, for tools that have not read their declarations.
//!
//! Answers as the servicer of grpcio-reflection does, except that unknown fields of a request are not repeated
//! in the reply's `original_request`. No file of ours declares extensions, so none is ever found.

use std::collections::{HashMap, HashSet};

use crate::messages::wire::{
    Malformed, Reader, Value, put_bytes, put_element, put_integer, put_message, text,
};
use crate::refusal::{Refusal, Status};

/// A file that declares services or messages.
pub struct File {
    /// Its name, as other files import it.
    pub name: String,
    /// The FileDescriptorProto.
    pub descriptor: Vec<u8>,
    /// The full names that it declares.
    pub symbols: Vec<String>,
    /// The names of the files it imports.
    pub dependencies: Vec<String>,
}

/// Replies that are made beforehand, by what is asked for.
pub struct Reflection {
    /// FileDescriptorResponses: each file and all that it imports, directly or not.
    described: Vec<Vec<u8>>,
    by_name: HashMap<String, usize>,
    by_symbol: HashMap<String, usize>,
    messages: HashSet<String>,
    /// The ListServiceResponse.
    services: Vec<u8>,
}

impl Reflection {
    /// `files` has every file that another one of them imports.
    pub fn new(mut services: Vec<String>, files: Vec<File>) -> Self {
        services.sort();
        let mut list = Vec::new();
        for service in &services {
            put_message(&mut list, 1, |each| put_bytes(each, 1, service.as_bytes()));
        }
        let by_name: HashMap<_, _> =
            files.iter().enumerate().map(|(index, file)| (file.name.clone(), index)).collect();
        let described = (0..files.len()).map(|index| describe(index, &files, &by_name)).collect();
        let mut by_symbol = HashMap::new();
        let mut messages = HashSet::new();
        for (index, file) in files.into_iter().enumerate() {
            by_symbol.extend(file.symbols.into_iter().map(|symbol| (symbol, index)));
            // A descriptor that cannot be read declares nothing.
            let _ = add_messages(&file.descriptor, &mut messages);
        }
        Self { described, by_name, by_symbol, messages, services: list }
    }

    /// Append the ServerReflectionResponse to a ServerReflectionRequest.
    pub fn answer(&self, message: &[u8], reply: &mut Vec<u8>) -> Result<(), Refusal> {
        let request = Asked::read(message)?;
        put_message(reply, 2, |original| request.write(original));
        match request.query {
            Query::Nothing => put_error(reply, Status::InvalidArgument, "invalid argument"),
            Query::FileByName(name) => self.put_file(reply, self.by_name.get(name)),
            Query::FileWithSymbol(symbol) => self.put_file(reply, self.by_symbol.get(symbol)),
            Query::FileWithExtension { .. } => self.put_file(reply, None),
            Query::ExtensionsOf(message) if self.messages.contains(message) => {
                put_message(reply, 5, |none| put_bytes(none, 1, message.as_bytes()));
            }
            Query::ExtensionsOf(_) => put_not_found(reply),
            Query::Services(_) => put_element(reply, 6, &self.services),
        }
        Ok(())
    }

    fn put_file(&self, reply: &mut Vec<u8>, index: Option<&usize>) {
        match index.and_then(|&index| self.described.get(index)) {
            Some(described) => put_element(reply, 4, described),
            None => put_not_found(reply),
        }
    }
}

/// What is asked for: of several, the last.
#[derive(Clone, Copy)]
enum Query<'a> {
    Nothing,
    FileByName(&'a str),
    FileWithSymbol(&'a str),
    FileWithExtension { message: &'a str, number: i32 },
    ExtensionsOf(&'a str),
    Services(&'a str),
}

struct Asked<'a> {
    host: &'a str,
    query: Query<'a>,
}

impl<'a> Asked<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut asked = Self { host: "", query: Query::Nothing };
        let mut reader = Reader::new(message);
        while let Some(field) = reader.field()? {
            match field {
                (1, Value::Bytes(host)) => asked.host = text(host)?,
                (3, Value::Bytes(name)) => asked.query = Query::FileByName(text(name)?),
                (4, Value::Bytes(symbol)) => asked.query = Query::FileWithSymbol(text(symbol)?),
                (5, Value::Bytes(extension)) => {
                    asked.query = asked.query.with_extension(reader.nested(extension))?;
                }
                (6, Value::Bytes(message)) => asked.query = Query::ExtensionsOf(text(message)?),
                (7, Value::Bytes(anything)) => asked.query = Query::Services(text(anything)?),
                _ => {}
            }
        }
        Ok(asked)
    }

    /// The request again, as a reply's `original_request`.
    fn write(&self, to: &mut Vec<u8>) {
        put_bytes(to, 1, self.host.as_bytes());
        match self.query {
            Query::Nothing => {}
            Query::FileByName(name) => put_element(to, 3, name.as_bytes()),
            Query::FileWithSymbol(symbol) => put_element(to, 4, symbol.as_bytes()),
            Query::FileWithExtension { message, number } => put_message(to, 5, |extension| {
                put_bytes(extension, 1, message.as_bytes());
                put_integer(extension, 2, i64::from(number) as u64);
            }),
            Query::ExtensionsOf(message) => put_element(to, 6, message.as_bytes()),
            Query::Services(anything) => put_element(to, 7, anything.as_bytes()),
        }
    }
}

impl<'a> Query<'a> {
    /// An extension; given right after another one, the two are merged.
    fn with_extension(self, mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let (mut message, mut number) = match self {
            Self::FileWithExtension { message, number } => (message, number),
            _ => ("", 0),
        };
        while let Some(field) = reader.field()? {
            match field {
                (1, Value::Bytes(name)) => message = text(name)?,
                (2, Value::Varint(value)) => number = value as i32,
                _ => {}
            }
        }
        Ok(Self::FileWithExtension { message, number })
    }
}

fn put_not_found(reply: &mut Vec<u8>) {
    put_error(reply, Status::NotFound, "not found");
}

fn put_error(reply: &mut Vec<u8>, status: Status, message: &str) {
    put_message(reply, 7, |error| {
        put_integer(error, 1, status as u64);
        put_bytes(error, 2, message.as_bytes());
    });
}

/// The FileDescriptorResponse with a file and all that it imports; a file precedes what it imports.
fn describe(index: usize, files: &[File], by_name: &HashMap<String, usize>) -> Vec<u8> {
    let mut response = Vec::new();
    let mut seen = HashSet::new();
    let mut wanted = vec![index];
    while let Some(index) = wanted.pop() {
        if let Some(file) = files.get(index).filter(|_| seen.insert(index)) {
            put_element(&mut response, 1, &file.descriptor);
            wanted.extend(file.dependencies.iter().rev().filter_map(|name| by_name.get(name)));
        }
    }
    response
}

/// The full names of all message types that a FileDescriptorProto declares.
fn add_messages(descriptor: &[u8], to: &mut HashSet<String>) -> Result<(), Malformed> {
    let name_of_package = name_in(Reader::new(descriptor), 2)?;
    add_messages_in(Reader::new(descriptor), 4, name_of_package, to)
}

/// Those in field `declared` of a file or message called `scope`, and those nested in them.
fn add_messages_in(
    mut reader: Reader<'_>,
    declared: u32,
    scope: &str,
    to: &mut HashSet<String>,
) -> Result<(), Malformed> {
    while let Some((field, value)) = reader.field()? {
        if let (true, Value::Bytes(message)) = (field == declared, value) {
            let message = reader.nested(message);
            let name = name_in(message, 1)?;
            let full = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
            add_messages_in(message, 3, &full, to)?;
            to.insert(full);
        }
    }
    Ok(())
}

/// The text in field `wanted`.
fn name_in(mut reader: Reader<'_>, wanted: u32) -> Result<&str, Malformed> {
    let mut name = "";
    while let Some((field, value)) = reader.field()? {
        if let (true, Value::Bytes(bytes)) = (field == wanted, value) {
            name = text(bytes)?;
        }
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{File, Reflection};

    /// `top` imports `left` and `right`, both import `base`; the descriptors are stand-ins.
    fn reflection() -> Reflection {
        let file = |name: &str, descriptor: &[u8], dependencies: &[&str]| File {
            name: name.to_owned(),
            descriptor: descriptor.to_vec(),
            symbols: vec![format!("p.{name}")],
            dependencies: dependencies.iter().copied().map(String::from).collect(),
        };
        // package p; message M { message N {} }
        let base = b"\x12\x01p\x22\x08\x0a\x01M\x1a\x03\x0a\x01N";
        let files = vec![
            file("base", base, &[]),
            file("left", b"L", &["base"]),
            file("right", b"R", &["base"]),
            file("top", b"T", &["left", "right"]),
        ];
        Reflection::new(vec!["q.B".into(), "p.A".into()], files)
    }

    fn answer(request: &[u8]) -> Vec<u8> {
        let mut reply = Vec::new();
        reflection().answer(request, &mut reply).unwrap();
        reply
    }

    #[test]
    fn a_file_comes_with_all_it_imports_each_once() {
        let files = b"\x22\x18\x0a\x01T\x0a\x01L\x0a\x0d\x12\x01p\x22\x08\x0a\x01M\x1a\x03\x0a\x01N\x0a\x01R";
        assert_eq!(answer(b"\x1a\x03top"), [&b"\x12\x05\x1a\x03top"[..], files].concat());
        assert_eq!(answer(b"\x22\x05p.top"), [&b"\x12\x07\x22\x05p.top"[..], files].concat());
    }

    #[test]
    fn services_are_sorted() {
        let expected = b"\x12\x02\x3a\x00\x32\x0e\x0a\x05\x0a\x03p.A\x0a\x05\x0a\x03q.B";
        assert_eq!(answer(b"\x3a\x00"), expected);
    }

    #[test]
    fn message_types_have_no_extensions_and_all_else_is_not_found() {
        assert_eq!(answer(b"\x32\x03p.M"), b"\x12\x05\x32\x03p.M\x2a\x05\x0a\x03p.M");
        assert_eq!(answer(b"\x32\x05p.M.N"), b"\x12\x07\x32\x05p.M.N\x2a\x07\x0a\x05p.M.N");
        let not_found = b"\x3a\x0d\x08\x05\x12\x09not found";
        assert_eq!(answer(b"\x32\x03p.N"), [&b"\x12\x05\x32\x03p.N"[..], not_found].concat());
        assert_eq!(answer(b"\x1a\x01x"), [&b"\x12\x03\x1a\x01x"[..], not_found].concat());
        let extension = b"\x12\x09\x2a\x07\x0a\x03p.M\x10\x05";
        assert_eq!(answer(b"\x2a\x07\x0a\x03p.M\x10\x05"), [&extension[..], not_found].concat());
    }

    #[test]
    fn no_question_is_an_error_of_the_caller() {
        let expected = b"\x12\x03\x0a\x01h\x3a\x14\x08\x03\x12\x10invalid argument";
        assert_eq!(answer(b"\x0a\x01h"), expected);
    }
}
