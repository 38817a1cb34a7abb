//! A gray picture: what pages are drawn on and what scanners deliver.
//!
//! Coordinates are pixels from the top left corner. 0 is black, 255 is white.

/// The most pixels of a picture: a C4 envelope at 900 dpi has 93 million.
pub const MAX_PIXELS: usize = 100_000_000;
/// The longest side of a picture, in pixels.
pub const MAX_SIDE: usize = 20_000;

/// The value of paper.
pub const WHITE: u8 = 255;

/// A picture in 256 shades of gray.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    gray: Vec<u8>,
}

impl Picture {
    /// Makes a white picture. `None` if a side is 0 or a bound is exceeded.
    #[must_use]
    pub fn white(width: usize, height: usize) -> Option<Self> {
        fits(width, height).then(|| Self {
            width,
            height,
            gray: vec![WHITE; width * height],
        })
    }

    /// Takes the rows of a picture, from the top. `None` if their number is wrong or a bound is exceeded.
    #[must_use]
    pub fn from_gray(width: usize, height: usize, gray: Vec<u8>) -> Option<Self> {
        (fits(width, height) && gray.len() == width * height).then_some(Self { width, height, gray })
    }

    /// The width in pixels.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The height in pixels.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// All pixels, row after row from the top.
    #[must_use]
    pub fn gray(&self) -> &[u8] {
        &self.gray
    }

    /// The pixels of one row. Empty outside of the picture.
    #[must_use]
    pub fn row(&self, y: usize) -> &[u8] {
        self.gray.chunks_exact(self.width).nth(y).unwrap_or_default()
    }

    /// One pixel. White outside of the picture.
    #[must_use]
    pub fn at(&self, x: usize, y: usize) -> u8 {
        if x < self.width {
            self.gray.get(y * self.width + x).copied().unwrap_or(WHITE)
        } else {
            WHITE
        }
    }

    /// Sets one pixel. Outside of the picture nothing happens.
    pub fn set(&mut self, x: usize, y: usize, value: u8) {
        if x < self.width
            && let Some(pixel) = self.gray.get_mut(y * self.width + x)
        {
            *pixel = value;
        }
    }

    /// Makes a pixel darker by `ink`, from 0 (no change) to 255 (black).
    pub fn darken(&mut self, x: usize, y: usize, ink: u8) {
        let left = u32::from(self.at(x, y)) * u32::from(255 - ink) / 255;
        self.set(x, y, u8::try_from(left).unwrap_or(0));
    }

    /// The part that begins at (`left`, `top`). Parts outside of the picture are cut off.
    #[must_use]
    pub fn crop(&self, left: usize, top: usize, width: usize, height: usize) -> Option<Self> {
        let right = left.saturating_add(width).min(self.width);
        let bottom = top.saturating_add(height).min(self.height);
        let mut gray = Vec::new();
        for row in self.gray.chunks_exact(self.width).take(bottom).skip(top) {
            gray.extend_from_slice(row.get(left..right)?);
        }
        Self::from_gray(right.checked_sub(left)?, bottom.checked_sub(top)?, gray)
    }

    /// The picture smaller by a whole factor: each pixel is the mean of a square.
    #[must_use]
    pub fn reduce(&self, factor: usize) -> Option<Self> {
        let (width, height) = (self.width.checked_div(factor)?, self.height.checked_div(factor)?);
        if !fits(width, height) {
            return None;
        }
        let area = u32::try_from(factor * factor).ok()?;
        let mut gray = Vec::with_capacity(width * height);
        let mut sums = vec![0_u32; width];
        for band in self.gray.chunks_exact(self.width * factor) {
            sums.fill(0);
            for row in band.chunks_exact(self.width) {
                for (sum, square) in sums.iter_mut().zip(row.chunks_exact(factor)) {
                    *sum += square.iter().map(|&pixel| u32::from(pixel)).sum::<u32>();
                }
            }
            gray.extend(sums.iter().map(|sum| u8::try_from(sum / area).unwrap_or(WHITE)));
        }
        Self::from_gray(width, height, gray)
    }

    /// The value at a place between pixels, by bilinear interpolation. White outside of the picture.
    #[must_use]
    pub fn sample(&self, x: f32, y: f32) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        if left < 0.0 || top < 0.0 {
            return f32::from(WHITE);
        }
        let (right_share, lower_share) = (x - left, y - top);
        let (column, line) = (left as usize, top as usize);
        let upper = mix(
            f32::from(self.at(column, line)),
            f32::from(self.at(column + 1, line)),
            right_share,
        );
        let lower = mix(
            f32::from(self.at(column, line + 1)),
            f32::from(self.at(column + 1, line + 1)),
            right_share,
        );
        mix(upper, lower, lower_share)
    }

    /// The picture larger by a factor and turned clockwise by an angle in radians. The whole picture stays
    /// visible; corners are white.
    #[must_use]
    pub fn transform(&self, scale: f32, angle: f32) -> Option<Self> {
        let (sine, cosine) = angle.sin_cos();
        let (old_width, old_height) = (self.width as f32, self.height as f32);
        let width = ((old_width * cosine.abs() + old_height * sine.abs()) * scale).round() as usize;
        let height = ((old_width * sine.abs() + old_height * cosine.abs()) * scale).round() as usize;
        if !fits(width, height) {
            return None;
        }
        let mut gray = Vec::with_capacity(width * height);
        for line in 0..height {
            let y = (line as f32 + 0.5 - height as f32 / 2.0) / scale;
            for column in 0..width {
                let x = (column as f32 + 0.5 - width as f32 / 2.0) / scale;
                let old_x = cosine.mul_add(x, sine * y) + old_width / 2.0 - 0.5;
                let old_y = cosine.mul_add(y, -sine * x) + old_height / 2.0 - 0.5;
                gray.push(self.sample(old_x, old_y).round() as u8);
            }
        }
        Self::from_gray(width, height, gray)
    }

    /// The picture with each pixel replaced by the mean of a rectangle around it, of odd sides.
    #[must_use]
    pub fn blur(&self, width: usize, height: usize) -> Self {
        let across = blur_lines(&self.gray, self.width, width / 2);
        let turned = transpose(&across, self.width);
        let down = blur_lines(&turned, self.height, height / 2);
        Self {
            width: self.width,
            height: self.height,
            gray: transpose(&down, self.height),
        }
    }
}

/// Says if a picture of this size is within the bounds.
#[must_use]
pub const fn fits(width: usize, height: usize) -> bool {
    width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_PIXELS
}

fn mix(first: f32, second: f32, share: f32) -> f32 {
    (second - first).mul_add(share, first)
}

/// Replaces each value by the mean of itself and of `reach` neighbours on both sides, line by line.
fn blur_lines(gray: &[u8], width: usize, reach: usize) -> Vec<u8> {
    if reach == 0 {
        return gray.to_vec();
    }
    let mut blurred = Vec::with_capacity(gray.len());
    for line in gray.chunks_exact(width) {
        for x in 0..width {
            let near = line
                .get(x.saturating_sub(reach)..(x + reach + 1).min(width))
                .unwrap_or_default();
            let sum: usize = near.iter().map(|&pixel| usize::from(pixel)).sum();
            blurred.push(u8::try_from(sum / near.len().max(1)).unwrap_or(WHITE));
        }
    }
    blurred
}

/// Swaps rows and columns.
fn transpose(gray: &[u8], width: usize) -> Vec<u8> {
    let mut turned = Vec::with_capacity(gray.len());
    for x in 0..width {
        turned.extend(gray.iter().skip(x).step_by(width));
    }
    turned
}
