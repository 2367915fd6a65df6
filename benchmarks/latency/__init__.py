"""Glass to glass: coded pictures in, sightings of them out, on one clock."""
