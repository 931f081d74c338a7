package jsonlimit_test

import (
	"fmt"
	"strings"
	"testing"

	"portsyncd/internal/jsonlimit"
)

// TestCheck checks documents at each limit and beyond it.
func TestCheck(t *testing.T) {
	limits := jsonlimit.Limits{Depth: 3, Elements: 4}
	const deep, long = "nested more than 3 levels deep", "more than 4 elements"
	for _, c := range []struct{ text, want string }{
		{``, ""},
		{`{"a":1,"b":2,"c":3,"d":4,"e":5}`, ""}, // members are not elements
		{`{"a":[1,2],"b":[{"c":3},4]}`, ""},
		{`{"a":[1,2],"b":[3,4],"c":[5]}`, long},
		{`[1,2,3,4]`, ""},
		{`[1,2,3,4,5]`, long},
		{`["1,2,3,4,5,6","\",[[[[",1,2]`, ""}, // text is not structure
		{`["\\",1,2,3,4]`, long},              // the string ends at the second quote
		{`{"a":{"b":[1]}}`, ""},
		{`{"a":{"b":[{}]}}`, deep},
		{`[[[[`, deep},
		{`]]]]]}}}}}[1,2]`, ""},
	} {
		err := limits.Check([]byte(c.text))
		if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
			t.Errorf("Check(%s) = %v, want %q", c.text, err, c.want)
		}
	}
}

func ExampleLimits_Check() {
	limits := jsonlimit.Limits{Depth: 8, Elements: 1000}
	fmt.Println(limits.Check([]byte("[" + strings.Repeat("{},", 1000) + "{}]")))
	// Output: JSON arrays have more than 1000 elements
}
