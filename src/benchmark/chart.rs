//! Bar charts as SVG.

use super::results::number;

/// A chart with horizontal bars.
pub(super) struct Chart {
    pub(super) title: String,
    /// What the bars are, with its unit.
    pub(super) figure: String,
    pub(super) bars: Vec<Bar>,
}

/// One bar.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
    /// Whether it is of the server that the others are compared with.
    pub(super) is_first: bool,
}

const WIDTH: usize = 720;
const HEAD: usize = 56;
const ROW: usize = 30;
const BAR: usize = 20;
const MARGIN: usize = 16;
/// Width of a letter of the font at 13 pixels, generously.
const LETTER: usize = 8;
/// Room for the value behind the longest bar.
const VALUE_ROOM: usize = 120;

impl Chart {
    /// The picture. Bars start at 0 and the longest fills the width.
    pub(super) fn svg(&self) -> String {
        let height = HEAD + ROW * self.bars.len() + MARGIN;
        let longest_name = self.bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or(0);
        let left = MARGIN + longest_name * LETTER + 8;
        let room = WIDTH.saturating_sub(left + VALUE_ROOM).max(100) as f64;
        let most = self.bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"{MARGIN}\" y=\"24\" font-size=\"16\" font-weight=\"bold\" fill=\"#222222\">{}</text>\n\
             <text x=\"{MARGIN}\" y=\"43\" fill=\"#666666\">{}</text>\n",
            escaped(&self.title),
            escaped(&self.figure)
        );
        let first = self.bars.iter().find(|bar| bar.is_first).map(|bar| bar.value);
        for (row, bar) in self.bars.iter().enumerate() {
            let top = HEAD + row * ROW;
            let text = top + BAR - 5;
            let length = if most > 0.0 { bar.value / most * room } else { 0.0 };
            let color = if bar.is_first { "#1f77b4" } else { "#b0b7bf" };
            let times = match first {
                Some(own) if !bar.is_first && own > 0.0 => format!(" ({:.1}×)", bar.value / own),
                _ => String::new(),
            };
            svg.push_str(&format!(
                "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\" fill=\"#222222\">{}</text>\n\
                 <rect x=\"{left}\" y=\"{top}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{color}\"/>\n\
                 <text x=\"{:.1}\" y=\"{text}\" fill=\"#222222\">{}{times}</text>\n",
                left - 8,
                escaped(&bar.name),
                length.max(1.0),
                left as f64 + length + 6.0,
                number(bar.value),
            ));
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(name: &str, value: f64, is_first: bool) -> Bar {
        Bar { name: name.to_string(), value, is_first }
    }

    #[test]
    fn longest_bar_fills_the_room_and_others_are_in_proportion() {
        let bars = vec![bar("a", 1.0, true), bar("b", 4.0, false), bar("c", 0.0, false)];
        let svg = Chart { title: "t <1>".to_string(), figure: "µs".to_string(), bars }.svg();
        let widths: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<rect x="))
            .filter_map(|line| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect();
        assert_eq!(widths.len(), 3);
        assert!((widths[1] / widths[0] - 4.0).abs() < 0.01, "{widths:?}");
        assert_eq!(widths[2], 1.0);
        assert!(svg.contains("t &lt;1&gt;") && svg.contains("4.00 (4.0×)"), "{svg}");
    }
}
