//! Plain columns: two blanks between, no lines, nothing cut off, so that people can read them and `awk`
//! can, too.

use super::{Paint, Tint};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    head: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    title: String,
    right: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tint: Tint,
}

// === impl Cell ===

impl Cell {
    pub(crate) fn new(tint: Tint, text: impl Into<String>) -> Self {
        Self { text: text.into(), tint }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, tint: Tint::Plain }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        number.to_string().into()
    }
}

// === impl Table ===

impl Table {
    /// A title that begins with `>` is that of a column of numbers, aligned to the right.
    pub(crate) fn new(titles: &[&str]) -> Self {
        let column = |title: &&str| match title.strip_prefix('>') {
            Some(title) => Column { title: title.to_owned(), right: true },
            None => Column { title: (*title).to_owned(), right: false },
        };
        Self { head: titles.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Cells beyond the titles are left away, so that a wide row fits the narrow table.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut cells: Vec<Cell> = cells.into_iter().take(self.head.len()).map(one_line).collect();
        cells.resize(self.head.len(), Cell::default());
        self.rows.push(cells);
    }

    pub(crate) fn render(&self, headers: bool, paint: Paint) -> String {
        let titles: Vec<Cell> =
            self.head.iter().map(|column| Cell::new(Tint::Quiet, column.title.clone())).collect();
        let lines: Vec<&Vec<Cell>> = headers.then_some(&titles).into_iter().chain(&self.rows).collect();
        let width =
            |index: usize| lines.iter().map(|line| line[index].text.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        lines.iter().map(|line| self.line(line, &widths, paint)).collect()
    }

    fn line(&self, cells: &[Cell], widths: &[usize], paint: Paint) -> String {
        let mut line = String::new();
        for (index, cell) in cells.iter().enumerate() {
            let room = " ".repeat(widths[index] - cell.text.chars().count());
            let text = paint.apply(cell.tint, &cell.text);
            let gap = if index == 0 { "" } else { "  " };
            line += gap;
            line += &if self.head[index].right { room + &text } else { text + &room };
        }
        line.truncate(line.trim_end().len());
        line + "\n"
    }
}

/// A cell is on one line, whatever the daemon's text holds.
fn one_line(mut cell: Cell) -> Cell {
    if cell.text.contains(char::is_control) {
        cell.text = cell.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    }
    if cell.text.is_empty() {
        cell.text.push('-');
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NAME", ">COUNT", "NOTE"]);
        table.row(["a".into(), 5.into(), "x\ny".into()]);
        table.row(["longer".into(), 12_345.into(), "".into(), "left away".into()]);
        table
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "NAME    COUNT  NOTE\na           5  x y\nlonger  12345  -\n";
        assert_eq!(table().render(true, Paint(false)), expected);
    }

    #[test]
    fn without_head_widths_are_those_of_the_rows() {
        assert_eq!(table().render(false, Paint(false)), "a           5  x y\nlonger  12345  -\n");
    }

    #[test]
    fn colours_do_not_shift_columns() {
        let mut table = Table::new(&["A", "B"]);
        table.row([Cell::new(Tint::Good, "on"), "x".into()]);
        table.row([Cell::new(Tint::Bad, "off"), "y".into()]);
        assert_eq!(table.render(false, Paint(true)), "\x1b[32mon\x1b[0m   x\n\x1b[31moff\x1b[0m  y\n");
    }
}
