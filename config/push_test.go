package config

import (
	"strings"
	"testing"
)

// TestPushURL: what is wrong is said, and nothing of a URL, in which a secret may
// be, is repeated.
func TestPushURL(t *testing.T) {
	for value, why := range map[string]string{
		"http://127.0.0.1:8086/write?db=portsyncd":                 "",
		"https://influx.example/api/v2/write?org=noc&bucket=a%20b": "",
		"http://[::1]:8428/write":                                  "",
		"http://[fe80::1%25eth0]/write":                            "",
		"receiver.hush:8086":                                       "it begins with something else",
		"ftp://hush.example/":                                      "it begins with something else",
		"http://":                                                  "the host is neither a name nor an IP address",
		"http://10.0.0.300/hush":                                   "the host is neither a name nor an IP address",
		"https://noc:hush@influx.example/write":                    "user and password belong into push.authorization_file",
		"https://influx.example/write?db=x&u=noc&p=hush":           "credentials belong into push.authorization_file, not into the parameter",
		"https://influx.example/write?Token=hush":                  "credentials belong into push.authorization_file, not into the parameter",
		"https://influx.example/write?a;b=hush":                    "the part after '?' is not well-formed",
		"https://influx.example/write#hush":                        "a part after '#' is never sent",
		"https://influx.example/write#":                            "a part after '#' is never sent",
		"https://hush%zz/":                                         "this is no URL",
		"https://influx.example/" + strings.Repeat("hush", 1000):   "this is no URL",
		"https://influx.example/\u202ehush":                        "this is no URL",
	} {
		c, err := Parse("f", []byte("push.url = '"+value+"'"))
		if why == "" {
			if err != nil || c.Push.URL != value {
				t.Errorf("%s: %v, %q", value, err, c.Push.URL)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "hush") || c.Push.URL != "" {
			t.Errorf("%s: %v, %q; want %q and nothing of the value", value, err, c.Push.URL, why)
		}
	}
	if _, err := Parse("f", []byte("push.url = 5")); err == nil || !strings.HasSuffix(err.Error(), "got an integer") {
		t.Error(err)
	}
}

// TestPushInTheClear: credentials travel encrypted or not at all.
func TestPushInTheClear(t *testing.T) {
	for url, admitted := range map[string]bool{
		"https://influx.example/write": true, "http://localhost:8086/write": true, "http://127.0.0.7/": true, "http://[::1]/": true,
		"http://influx.example/write": false, "http://10.0.0.1/": false, "http://localhost.example/": false,
	} {
		c, err := Parse("f", []byte("[push]\nauthorization_file = '/secret'\nurl = '"+url+"'\n"))
		const key = "push.authorization_file"
		if (err == nil) != admitted || (c.Push.AuthorizationFile == "/secret") != admitted || c.IsSet(key) != admitted || c.Push.URL != url {
			t.Errorf("%s: %v, %+v, from %s", url, err, c.Push, c.Origin(key))
		}
	}
	// One error is enough.
	_, err := Parse("f", []byte("[push]\nauthorization_file = '/secret'\nurl = 'ftp://x'\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 0 {
		t.Error(err)
	}
}
