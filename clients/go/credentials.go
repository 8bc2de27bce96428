package reasoninggrpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// WithToken sends the caller's token with every call, as the metadata
// "authorization: Bearer TOKEN". It also sends the token over a plaintext
// connection, where everyone on the network can read it: use [WithTLS] as well
// unless the server is on the loopback interface. An empty token sends nothing.
func WithToken(token string) grpc.DialOption {
	if token == "" {
		return grpc.EmptyDialOption{}
	}
	return grpc.WithPerRPCCredentials(bearerToken(token))
}

type bearerToken string

func (token bearerToken) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(token)}, nil
}

func (bearerToken) RequireTransportSecurity() bool {
	return false
}

// WithTLS turns TLS on. A nil config trusts the system's root certificates.
// [TLSFiles.Config] creates a config from files.
func WithTLS(config *tls.Config) grpc.DialOption {
	return grpc.WithTransportCredentials(credentials.NewTLS(config))
}

// TLSFiles holds the paths of PEM files. [TLSFiles.Config] creates a TLS config from
// them.
type TLSFiles struct {
	// CertificateAuthority is the path of the root certificates to trust instead of
	// the system's. Empty means that the system's root certificates are trusted.
	CertificateAuthority string
	// Certificate is the path of the client's own certificate, for a server that
	// requires one. Empty means that the client has none. Certificate and Key are
	// given together or not at all.
	Certificate string
	// Key is the path of the private key that belongs to Certificate.
	Key string
}

// Config reads the files and returns the TLS config that they describe.
func (files TLSFiles) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if files.CertificateAuthority != "" {
		authority, err := os.ReadFile(files.CertificateAuthority)
		if err != nil {
			return nil, fmt.Errorf("reasoninggrpc: cannot read the certificate authority: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authority) {
			return nil, fmt.Errorf("reasoninggrpc: the file %s holds no certificate", files.CertificateAuthority)
		}
	}
	if files.Certificate != "" || files.Key != "" {
		certificate, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
		if err != nil {
			return nil, fmt.Errorf("reasoninggrpc: cannot read the client's certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}
