"""Names as providers give them: date, time, tile, band, resolution, baseline and version."""

from datetime import date
from pathlib import Path

import pytest

from agrifm.errors import SceneError
from agrifm.scene.file_names import AUXILIARY, NamedFile, read_name, scheme_of
from agrifm.scene.products import PRODUCTS, find_product

MAY = date(2024, 5, 1)
SAFE = "S2A_MSIL2A_20240501T105031_N0510_R051_T31TDN_20240501T175000.SAFE"
GRANULE = f"{SAFE}/GRANULE/L2A_T31TDN_A046000_20240501T105500/IMG_DATA"
LANDSAT = "LC08_L2SP_198027_20240501_20240901_02_T1"


def named(path: str, product: str) -> NamedFile:
    file = Path(path)
    scheme = scheme_of(file, find_product(product).file_names)
    assert scheme is None or scheme in find_product(product).file_names
    return read_name(file, scheme, "reading")


@pytest.mark.parametrize(
    ("product", "path", "tile", "band"),
    [
        ("sentinel-2-l2a-cdse", f"{GRANULE}/R10m/T31TDN_20240501T105031_B02_10m.jp2", "31TDN", "B02"),
        ("sentinel-2-l2a-cdse", f"{GRANULE}/R20m/T31TDN_20240501T105031_SCL_20m.jp2", "31TDN", "SCL"),
        ("sentinel-2-c1-l2a", f"{SAFE.removesuffix('.SAFE')}_B8A.tif", "31TDN", "B8A"),
        ("sentinel-2-c1-l2a", "L2A_T31TDN_20240501T105031_B04_10m.jp2", "31TDN", "B04"),
        ("sentinel-2-c1-l2a", "31/S2A_31TDN_20240501_0_L2A/B05.tif", "31TDN", "B05"),
        ("hls-l30-nasa-cmr", "HLS.L30.T31TDN.2024122T104117.v2.0.B02.tif", "31TDN", "B02"),
        ("hls-s30-nasa-cmr", "HLS.S30.T31TDN.2024122T105031.v2.0.Fmask.tif", "31TDN", "Fmask"),
        ("hls-s30-nasa-cmr", "HLSS30.020_B8A_doy2024122_aid0001_31N.tif", "", "B8A"),
        ("landsat-c2-l2-usgs", f"{LANDSAT}_SR_B2.TIF", "198027", "SR_B2"),
        ("landsat-c2-l2-usgs", f"{LANDSAT}_QA_PIXEL.TIF", "198027", "QA_PIXEL"),
        ("landsat-c2-l2-st-usgs", f"{LANDSAT}_ST_B10.TIF", "198027", "ST_B10"),
        ("landsat-c2-l2-usgs", "1_2_LC09_198027_20240501.tif", "198027", ""),
        ("modis-09A1-061", "MOD09A1.A2024122.h18v04.061.2024131034512.hdf", "h18v04", ""),
        ("modis-09A1-061", "MYD09A1.A2024122.h18v04.061.2024131034512_sur_refl_b01.tif", "h18v04", "sur_refl_b01"),
        ("modis-09A1-061", "MOD09A1.061_sur_refl_state_500m_doy2024122_aid0001.tif", "", "sur_refl_state_500m"),
        ("modis-13Q1-061", "MOD13Q1.061__250m_16_days_NDVI_doy2024122000000_aid0001.tif", "", "250m_16_days_NDVI"),
        ("sentinel-2-worldcereal", "20240501T105031_20240501T105521_T31TDN.tif", "31TDN", ""),
        ("sentinel-2-worldcereal", "20240501T105031_20240501T105521_T31TDN.B2.tif", "31TDN", "B2"),
        ("sentinel-2-worldcereal", "20240501T105031_20240501T105521_T31TDN-0000000000-0000009984.tif", "31TDN", ""),
        ("sentinel-2-force", "X0055_Y0053/20240501_LEVEL2_SEN2A_BOA.tif", "X0055_Y0053", "BOA"),
        ("landsat-force", "20240501_LEVEL2_LND08_QAI.tif", "", "QAI"),
        ("sentinel-2-worldcereal", "openEO_2024-05-01Z.tif", "", None),
        ("sentinel-2-worldcereal", "S2_20LKP_B02_2024-05-01.tif", "20LKP", None),
        ("sentinel-2-worldcereal", "SENTINEL-2_MSI_20LKP_B02_2024-05-01.tif", "20LKP", None),
        ("sentinel-2-worldcereal", "31TDN/S2_2024_05_01.tif", "31TDN", None),
        ("cbers-4-awfi-16d", "CB4_2024122_NDVI.tif", "", None),
        ("sentinel-2-worldcereal", "20240501_B02_20240501.tif", "", None),
        ("sentinel-2-worldcereal", "12345678_2024-122_B02.tif", "", None),
        ("sentinel-2-worldcereal", "2024-05-01/B02.tif", "", None),
        ("sentinel-2-worldcereal", "T31TDN/20240501/B02.tif", "31TDN", None),
        ("sentinel-2-worldcereal", "2024122/B02.tif", "", None),
        ("sentinel-2-worldcereal", "20240501T105031/2024-05-01/B02.tif", "", None),
        ("sentinel-2-worldcereal", "2024-11-29/imagery/2024-05-01/B02.tif", "", None),
        ("sentinel-2-worldcereal", "2024-11-29/S2_20240501_B02.tif", "", None),
    ],
)
def test_a_name_states_the_acquisition_its_tile_and_its_band(
    product: str, path: str, tile: str, band: str | None
) -> None:
    found = named(path, product)
    assert found.day == MAY
    assert found.tile == tile
    assert (found.band or None) == (band or None)


def test_a_sentinel_2_folder_states_baseline_time_version_and_resolution() -> None:
    found = named(f"/data/{GRANULE}/R20m/T31TDN_20240501T105031_B05_20m.jp2", "sentinel-2-l2a-cdse")
    assert (found.baseline, found.time, found.resolution) == ("05.10", "105031", 20)
    assert found.version == ("05.10", "20240501T175000")


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("HLS.S30.T31TDN.2024122T105031.v2.0.B05.tif", "hls-l30-nasa-cmr"),
        ("HLS.L30.T31TDN.2024122T104117.v2.0.B05.tif", "landsat-c2-l2"),
        (f"{LANDSAT}_SR_B5.TIF", "hls-l30-nasa-cmr"),
        ("LE07_L2SP_198027_20240501_20240901_02_T1_SR_B5.TIF", "landsat-c2-l2-usgs"),
        ("LC08_L1TP_198027_20240501_20240901_02_T1_B5.TIF", "landsat-c2-l2-usgs"),
        ("1_2_LE07_198027_20240501.tif", "landsat-c2-l2-usgs"),
        ("T31TDN_20240501T105031_B02.jp2", "sentinel-2-c1-l2a"),
        ("20240501_LEVEL2_LND07_BOA.tif", "landsat-force"),
        ("20240501_LEVEL2_LND08_BOA.tif", "sentinel-2-force"),
        ("20240501_LEVEL2_SEN2A_BOA.tif", "sentinel-2-worldcereal"),
        (f"{SAFE.replace('L2A', 'L1C')}/GRANULE/T/IMG_DATA/T31TDN_20240501T105031_B02.jp2", "sentinel-2-c1-l2a"),
        ("MOD13Q1.061__250m_16_days_NDVI_doy2024122_aid0001.tif", "modis-09A1-061"),
    ],
)
def test_files_of_another_product_are_known_by_their_names(name: str, product: str) -> None:
    scheme = scheme_of(Path(name), find_product(product).file_names)
    assert scheme is not None
    assert scheme not in find_product(product).file_names


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("B02.tif", "YYYYMMDD"),
        ("T31TDN_20241301T105031_B02_10m.tif", "20241301"),
        ("LC08_L2SP_198027_20240230_20240901_02_T1_SR_B2.TIF", "20240230"),
        ("HLS.L30.T31TDN.2023366T104117.v2.0.B02.tif", "2023366"),
        ("20240501_20240505_B02.tif", "2024-05-05"),
        ("2024-05-01_2024122_2024_05_02.tif", "2024-05-02"),
        ("2024-05-03/2024-05-01/B02.tif", "2024-05-01 and 2024-05-03"),
        ("20240230/B02.tif", "20240230"),
        ("2024-05-01/10m/B02.tif", "YYYYMMDD"),
        ("run_2024-05-01/B02.tif", "YYYYMMDD"),
        ("2024-05/B02.tif", "YYYYMMDD"),
        ("11320501/B02.tif", "YYYYMMDD"),
        ("\u0662\u0660240501.tif", "YYYYMMDD"),
    ],
)
def test_a_date_that_is_absent_impossible_or_one_of_two_is_refused(name: str, fact: str) -> None:
    product = {"LC": "landsat-c2-l2-usgs", "HL": "hls-l30-nasa-cmr"}.get(name[:2], "sentinel-2-c1-l2a")
    with pytest.raises(SceneError, match=fact):
        named(name, product)


def test_masks_metadata_and_pictures_are_not_images_of_bands() -> None:
    for name in ("MTD_MSIL2A.xml", "QI_DATA/MSK_DETFOO_B02.jp2", "T31TDN_20240501T105031_PVI.jp2", "a.tif.aux.xml"):
        assert AUXILIARY.search(f"/{SAFE}/{name}")
    assert not AUXILIARY.search(f"/{GRANULE}/R10m/T31TDN_20240501T105031_B02_10m.jp2")


def test_the_words_of_a_schemes_bands_are_bands_of_its_products() -> None:
    for product in PRODUCTS.values():
        known = {*product.bands, *product.quality_bands.values()}
        for scheme in product.file_names:
            meant = set(scheme.words.values())
            assert not meant or meant & known, (product.name, scheme.title)
