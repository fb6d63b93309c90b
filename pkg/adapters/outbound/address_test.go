package outbound

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	world, cluster := policy{refused: append(local(), private()...)}, policy{refused: local()}
	for address, want := range map[string]struct{ world, cluster string }{ // why it is refused; empty: it is not
		"1.1.1.1":                    {"", ""},
		"2606:4700::1111":            {"", ""},
		"::ffff:1.1.1.1":             {"", ""},
		"10.1.2.3":                   {"private", ""},
		"172.31.255.255":             {"private", ""},
		"172.32.0.1":                 {"", ""},
		"192.168.0.1":                {"private", ""},
		"::ffff:192.168.0.1":         {"private", ""},
		"fd12::1":                    {"private", ""},
		"100.64.0.1":                 {"shared", ""},
		"100.128.0.1":                {"", ""},
		"192.0.2.1":                  {"reserved", ""},
		"198.18.0.1":                 {"reserved", ""},
		"127.0.0.1":                  {"loopback", "loopback"},
		"127.9.9.9":                  {"loopback", "loopback"},
		"::1":                        {"loopback", "loopback"},
		"::ffff:127.0.0.1":           {"loopback", "loopback"},
		"::127.0.0.1":                {"reserved", "reserved"},
		"0.0.0.0":                    {"unspecified", "unspecified"},
		"::":                         {"unspecified", "unspecified"},
		"169.254.1.1":                {"link-local", "link-local"},
		"fe80::1%eth0":               {"link-local", "link-local"},
		"224.0.0.1":                  {"multicast", "multicast"},
		"ff02::1":                    {"multicast", "multicast"},
		"255.255.255.255":            {"reserved", "reserved"},
		"169.254.169.254":            {"metadata", "metadata"},
		"::ffff:169.254.169.254":     {"metadata", "metadata"},
		"fd00:ec2::254":              {"metadata", "metadata"},
		"fd00:ec2::23":               {"metadata", "metadata"},
		"fd20:ce::254":               {"metadata", "metadata"},
		"fd00:c1::a9fe:a9fe":         {"metadata", "metadata"},
		"fd00:42::42":                {"metadata", "metadata"},
		"2606:4700::5efe:a00:1":      {"private", ""},
		"fd12::200:5efe:a9fe:a9fe":   {"private", "metadata"},
		"2606:4700::200:5efe:7f00:1": {"loopback", "loopback"},
		"2606:4700::5efe:101:101":    {"", ""},
		"168.63.129.16":              {"metadata", "metadata"},
		"100.100.100.200":            {"metadata", "metadata"},
		"64:ff9b::7f00:1":            {"translated", "translated"},
		"2002:7f00:1::":              {"translated", "translated"},
		"2001:0:1::1":                {"translated", "translated"},
	} {
		for name, p := range map[string]struct {
			policy
			want string
		}{"world": {world, want.world}, "cluster": {cluster, want.cluster}} {
			err := p.check(netip.MustParseAddr(address))
			if (err == nil) != (p.want == "") || (err != nil && !strings.Contains(err.Error(), p.want)) {
				t.Errorf("%s to the %s: got %v, want %q", address, name, err, p.want)
			}
		}
	}
}

func TestAllowedNetworks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		allow, address string
		allowed        bool
	}{
		"Inside":                 {"10.1.0.0/16", "10.1.2.3", true},
		"Outside":                {"10.1.0.0/16", "10.2.0.1", false},
		"Mapped":                 {"10.1.0.0/16", "::ffff:10.1.2.3", true},
		"Loopback":               {"127.0.0.1/32", "127.0.0.1", true},
		"EverythingButLinkLocal": {"0.0.0.0/0", "169.254.7.7", false},
		"EverythingButMetadata":  {"0.0.0.0/0", "169.254.169.254", false},
		"EverythingElse":         {"0.0.0.0/0", "192.168.3.3", true},
		"LinkLocalByName":        {"169.254.0.0/16", "169.254.7.7", true},
		"LinkLocalIsNoMetadata":  {"169.254.0.0/16", "169.254.169.254", false},
		"MetadataByName":         {"169.254.169.254/32", "169.254.169.254", true},
		"MetadataOfAnotherCloud": {"168.63.129.16/32", "168.63.129.16", true},
		"EverythingOfV6IsNoV4":   {"::/0", "10.0.0.1", false},
		"EverythingOfV6":         {"::/0", "fd12::1", true},
		"NAT64":                  {"64:ff9b::/96", "64:ff9b::101:101", true},
		"NAT64OfPrivate":         {"64:ff9b::/96", "64:ff9b::a00:1", false},
		"NAT64OfMetadata":        {"64:ff9b::/96", "64:ff9b::a9fe:a9fe", false},
		"NAT64OfLoopback":        {"::/0", "64:ff9b::7f00:1", false},
		"LocalNAT64":             {"64:ff9b:1::/48", "64:ff9b:1::101:101", true},
		"LocalNAT64OfPrivate":    {"64:ff9b:1::/48", "64:ff9b:1::c0a8:1", false},
		"LocalNAT64OfMetadata48": {"64:ff9b:1::/48", "64:ff9b:1:a9fe:a9:fe00::", false},
		"6to4":                   {"2002::/16", "2002:101:101::1", true},
		"6to4OfPrivate":          {"2002::/16", "2002:a00:1::1", false},
		"6to4OfMetadata":         {"::/0", "2002:a9fe:a9fe::1", false},
		"TeredoOfPrivateClient":  {"2001::/23", "2001:0:101:101:0:0:f5ff:fffe", false},
		"TeredoOfPublic":         {"2001::/23", "2001:0:101:101:0:0:fefe:fefe", true},
		"MetadataOfAWSByRange":   {"fd00::/8", "fd00:ec2::254", false},
		"EverythingOfV6ButLocal": {"::/0", "fe80::1", false},
	} {
		p := policy{refused: append(local(), private()...), allowed: []netip.Prefix{netip.MustParsePrefix(tt.allow)}}
		if err := p.check(netip.MustParseAddr(tt.address)); (err == nil) != tt.allowed {
			t.Errorf("%s: got %v, want allowed %v", name, err, tt.allowed)
		}
	}
}
