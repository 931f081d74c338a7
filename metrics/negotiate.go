package metrics

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Content negotiation follows RFC 9110, sections 12.4.2 (weights), 12.5.1 (Accept) and 12.5.3
// (Accept-Encoding): a header is a list of choices, each with a weight.

// mediaType is a content type that the server can send.
type mediaType struct {
	name    string   // "text/plain"
	version string   // version parameter of an exact match
	also    []string // types whose readers also accept this one
}

// negotiate returns the index of the offer with the highest weight in the Accept header. If several
// offers have the same weight, it returns the first. It returns 0 if there is no Accept header and
// -1 if the client accepts none of the offers.
func negotiate(accept []string, offers ...mediaType) int {
	best, bestWeight, empty := -1, 0, true
	for i, offer := range offers {
		weight, specific := 0, 0
		for choice, params := range choices(accept) {
			empty = false
			w, ok := weightOf(params)
			if !ok {
				w = 1000 // ignore an invalid weight
			}
			if s := specificity(choice, params, offer); s > specific {
				weight, specific = w, s
			}
		}
		if weight > bestWeight {
			best, bestWeight = i, weight
		}
	}
	if empty {
		return 0
	}
	return best
}

// specificity returns how precisely a media range of the Accept header matches the offer: 0 for no
// match, 1 for */* (or *, which some clients send), 2 for type/*, 3 for the type, 4 for the type
// and version. The most precise match takes precedence (RFC 9110, section 12.5.1).
func specificity(choice, params string, offer mediaType) int {
	kind, _, _ := strings.Cut(offer.name, "/")
	switch {
	case choice == "*/*", choice == "*":
		return 1
	case strings.EqualFold(choice, kind+"/*"):
		return 2
	case strings.EqualFold(choice, offer.name):
		if version, _ := parameter(params, "version"); version != "" && version == offer.version {
			return 4
		}
		return 3
	case slices.ContainsFunc(offer.also, func(name string) bool { return strings.EqualFold(choice, name) }):
		return 3
	}
	return 0
}

// acceptsGzip reports whether the client accepts gzip.
func acceptsGzip(acceptEncoding []string) bool {
	any := false
	for coding, params := range choices(acceptEncoding) {
		w, ok := weightOf(params)
		switch {
		case !ok:
		case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
			return w > 0
		case coding == "*":
			any = w > 0
		}
	}
	return any
}

// choices yields the elements of a comma-separated header such as Accept, each split into its value
// and its parameters.
func choices(header []string) func(yield func(choice, params string) bool) {
	return func(yield func(choice, params string) bool) {
		for _, line := range header {
			for element := range strings.SplitSeq(line, ",") {
				choice, params, _ := strings.Cut(element, ";")
				if choice = strings.TrimSpace(choice); choice == "" {
					continue
				}
				if !yield(choice, params) {
					return
				}
			}
		}
	}
}

// parameter returns the value of a parameter without quotes.
func parameter(params, name string) (string, bool) {
	for p := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.Trim(strings.TrimSpace(value), `"`), true
		}
	}
	return "", false
}

// weightOf returns the weight of a choice in thousandths, from 0 to 1000. It returns 1000 if the
// choice has no weight, and false if the weight is not a number. For leniency, it accepts forms
// that RFC 9110 does not allow (".2", "0.12345", "7").
func weightOf(params string) (int, bool) {
	q, ok := parameter(params, "q")
	if !ok {
		return 1000, true
	}
	weight, err := strconv.ParseFloat(q, 64)
	if err != nil || math.IsNaN(weight) {
		return 0, false
	}
	return int(math.Ceil(1000 * min(max(weight, 0), 1))), true
}
