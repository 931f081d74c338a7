package metrics

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// A client says what it likes in header fields that are lists of choices, each
// with a weight: RFC 9110, sections 12.4.2 (weights), 12.5.1 (Accept) and
// 12.5.3 (Accept-Encoding).

// mediaType is a type on offer.
type mediaType struct {
	name    string   // "text/plain"
	version string   // value of the version parameter of an exact match
	also    []string // other types whose readers can read this one
}

// negotiate returns the index of the offer with the highest weight, the first of
// several with the same weight, and the first of all if there is no Accept header.
// It returns -1 if the client accepts none of them.
func negotiate(accept []string, offers ...mediaType) int {
	best, bestWeight, empty := -1, 0, true
	for i, offer := range offers {
		weight, specific := 0, 0
		for choice, params := range choices(accept) {
			empty = false
			w, ok := weightOf(params)
			if !ok {
				w = 1000 // as if there were no weight
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

// specificity returns how closely a choice names the offer: 0 not at all, 1 */*,
// 2 type/*, 3 the type, 4 the type with its version. The closest choice decides
// (RFC 9110, section 12.5.1). A bare * is what some clients send for */*.
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

// acceptsGzip reports whether the client takes gzip.
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

// choices walks over the elements of a list header, each split into what is
// chosen and its parameters.
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

// parameter returns the value of a parameter, without quotes.
func parameter(params, name string) (string, bool) {
	for p := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.Trim(strings.TrimSpace(value), `"`), true
		}
	}
	return "", false
}

// weightOf returns a choice's weight in thousandths, 0 to 1000: 1000 if there is
// none, and false if it is not a number. It reads more than RFC 9110 allows (".2",
// "0.12345", "7"), since a mistake in a weight must not cost a client the answer.
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
