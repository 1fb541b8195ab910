//! Job images as servers wrote them to their append-only files. Only the images: a file is taken apart here with
//! no more care than these files need.

use disque::types::{Form, ImageError, JobImage};

use crate::show;
use crate::vectors::{Legend, file, text};

/// One record: its place, its command, its argument.
struct Record<'a> {
    start: usize,
    end: usize,
    name: &'a str,
    payload: &'a [u8],
}

/// The records of a file up to the first that is not whole.
fn records(file: &[u8]) -> Vec<Record<'_>> {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some(record) = record(file, at) {
        at = record.end;
        records.push(record);
    }
    records
}

fn record(file: &[u8], start: usize) -> Option<Record<'_>> {
    let mut at = start;
    assert_eq!(number(file, &mut at, b'*')?, 2);
    let name = argument(file, &mut at)?;
    let payload = argument(file, &mut at)?;
    Some(Record { start, end: at, name: std::str::from_utf8(name).ok()?, payload })
}

fn argument<'a>(file: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let len = number(file, at, b'$')?;
    let bytes = file.get(*at..*at + len)?;
    *at += len + 2;
    (*at <= file.len()).then_some(bytes)
}

fn number(file: &[u8], at: &mut usize, sign: u8) -> Option<usize> {
    let (first, rest) = file.get(*at..)?.split_first()?;
    let end = rest.iter().position(|byte| *byte == b'\r')?;
    *at += 1 + end + 2;
    (*first == sign).then(|| std::str::from_utf8(&rest[..end]).ok()?.parse().ok())?
}

fn image(payload: &[u8]) -> Result<JobImage<'_>, ImageError> {
    let (image, rest) = JobImage::decode(payload, Form::Storage)?;
    assert!(rest.is_empty(), "the payload is the image");
    Ok(image)
}

#[test]
fn every_recorded_image_says_what_is_documented_and_is_encoded_to_the_same_bytes() {
    let text = text("records.txt");
    let legend = Legend::of(&text);
    let mut images = 0;
    for block in text.split("\nfile ").skip(1) {
        let (name, expected) = block.split_once('\n').expect("the name of a file");
        let file = file(name);
        let mut shown = String::new();
        for Record { start, end, name, payload } in records(&file) {
            let what = match name {
                "LOADJOB" => {
                    let image = image(payload).unwrap_or_else(|error| panic!("{start}: {error}"));
                    let mut encoded = Vec::new();
                    image.encode(Form::Storage, &mut encoded);
                    assert!(encoded == payload, "{name} at {start}: other bytes");
                    images += 1;
                    show::job(&image, image.expires_at.secs(), &legend)
                }
                _ => payload.escape_ascii().to_string(),
            };
            shown += &format!("{start} {end} {name} {} {what}\n", payload.len());
        }
        assert_eq!(shown.trim_end(), expected.trim_end(), "{name}");
    }
    assert_eq!(images, 10 + 4 + 8);
}

#[test]
fn an_image_whose_inner_lengths_do_not_add_up_is_refused() {
    let file = file("appendonly-corrupt-job.aof");
    let records = records(&file);
    let outcomes: Vec<bool> = records
        .iter()
        .filter(|record| record.name == "LOADJOB")
        .map(|record| image(record.payload).is_ok())
        .collect();
    assert_eq!(outcomes, [true, false, true, true, true, true, true, true, true, true]);
    assert_eq!(image(records[1].payload), Err(ImageError::Lengths));
}

#[test]
fn a_cut_image_is_refused_wherever_it_is_cut() {
    let file = file("appendonly.aof");
    let payload = records(&file)[0].payload;
    for cut in 0..payload.len() {
        assert_eq!(image(&payload[..cut]), Err(ImageError::Lengths), "cut to {cut}");
    }
    // The same with a length in front that agrees.
    for cut in 4..payload.len() {
        let mut shorter = payload[..cut].to_vec();
        shorter[..4].copy_from_slice(&(cut as u32 - 4).to_le_bytes());
        assert_eq!(image(&shorter), Err(ImageError::Lengths), "cut to {cut}");
    }
}
